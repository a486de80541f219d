using System.CommandLine;
using TorchStab.Samples;

namespace Audit;

/// <summary>The options.</summary>
internal sealed class CommandLine
{
    private readonly Option<bool> _quick = SampleOptions.Quick("Leave out what needs a process of its own: the defects that abort one");

    public CommandLine()
    {
        Root = new RootCommand(
            "Tries the installed TorchSharp for defects known of 0.107.0, and says which are present, which are gone, and what TorchStab gives instead.");
        Root.Options.Add(_quick);
    }

    public RootCommand Root { get; }

    public bool IsQuick(ParseResult parsed) => parsed.GetValue(_quick);
}
