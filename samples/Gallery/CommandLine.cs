using System.CommandLine;
using System.CommandLine.Parsing;
using TorchStab.Samples;

namespace Gallery;

/// <summary>The options and what they mean together.</summary>
internal sealed class CommandLine
{
    private const int FullSeeds = 3, QuickSeeds = 1;
    private static readonly string Names = string.Join(", ", Catalogue.All.Select(e => e.Name));
    private readonly Option<IExperiment[]> _only = new("--only")
    {
        Description = $"Runs these experiments, with commas between them, and keeps what the others left in the folder: {Names}",
        HelpName = "NAME,NAME",
        AllowMultipleArgumentsPerToken = true,
        CustomParser = Find,
    };
    private readonly Option<bool> _quick = SampleOptions.Quick($"Seconds an experiment and {QuickSeeds} seed: shows that it runs, decides little");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<DirectoryInfo> _data = new("--data") { Description = "Folder with MNIST's four IDX files instead of the subset that comes along", HelpName = "DIR" };
    private readonly Option<DirectoryInfo> _out = SampleOptions.Out(Path.Combine("out", "gallery"));

    public CommandLine()
    {
        Root = new RootCommand(
            "Tries what the literature claims about gradients, initialization, clipping and normalization on real data, and gathers claims, pictures, numbers and "
            + "verdicts in one page, index.html. Ctrl-C ends early and keeps the experiments that were done.");
        foreach (var option in new Option[] { _only, _quick, _seed, _data, _out }) Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public Settings Settings(ParseResult parsed)
    {
        bool quick = parsed.GetValue(_quick);
        int seed = parsed.GetValue(_seed);
        var experiments = parsed.GetValue(_only) is { Length: > 0 } only ? Catalogue.All.Where(only.Contains).ToArray() : Catalogue.All;
        return new Settings(experiments, quick, [.. Enumerable.Range(seed, quick ? QuickSeeds : FullSeeds)],
            parsed.GetValue(_data) ?? Mnist.OwnFolder, parsed.GetValue(_out)!);
    }

    private static IExperiment[]? Find(ArgumentResult result)
    {
        string[] typed = [.. result.Tokens.SelectMany(t => t.Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
        if (typed.FirstOrDefault(name => !Catalogue.All.Any(e => Is(e, name))) is { } unknown)
        {
            result.AddError($"--only is one of {Names}, not '{unknown}'.");
            return null;
        }
        return [.. Catalogue.All.Where(e => typed.Any(name => Is(e, name)))];
    }

    private static bool Is(IExperiment experiment, string typed) => string.Equals(experiment.Name, typed, StringComparison.OrdinalIgnoreCase);
}
