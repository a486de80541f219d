using System.CommandLine;
using TorchStab.Samples;

namespace Audit;

/// <summary>The options.</summary>
internal sealed class CommandLine
{
    private readonly Option<bool> _quick = SampleOptions.Quick("Leave out what needs a process of its own: the defects that abort one");
    private readonly Option<int> _probe = new(Auditor.ChildOption) { Hidden = true, DefaultValueFactory = _ => -1 };

    public CommandLine()
    {
        Root = new RootCommand(
            "Tries the installed TorchSharp for defects known of 0.107.0, and says which are present, which are gone, and what TorchStab gives instead.");
        Root.Options.Add(_quick);
        Root.Options.Add(_probe);
    }

    public RootCommand Root { get; }

    public bool IsQuick(ParseResult parsed) => parsed.GetValue(_quick);

    /// <summary>Which probe this process was started for, or null.</summary>
    public int? Probe(ParseResult parsed) => parsed.GetValue(_probe) is >= 0 and int index && index < Catalogue.All.Count ? index : null;
}
