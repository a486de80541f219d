using System.CommandLine;
using System.CommandLine.Parsing;
using TorchStab.Samples;

namespace Gallery;

/// <summary>The options and what they mean together.</summary>
internal sealed class CommandLine
{
    private const int FullSeeds = 5, QuickSeeds = 1;
    private static readonly string Names = string.Join(", ", Catalogue.All.Select(e => e.Name));
    private readonly Option<IExperiment[]> _only = new("--only")
    {
        Description = $"Runs these experiments, with commas between them, and keeps what the others left in the folder: {Names}",
        HelpName = "NAME,NAME",
        AllowMultipleArgumentsPerToken = true,
        CustomParser = Find,
    };
    private readonly Option<bool> _quick = SampleOptions.Quick($"Seconds an experiment and {QuickSeeds} seed: shows that it runs, decides nothing");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<int> _seeds = SampleOptions.Whole("--seeds", FullSeeds, 1, $"How many seeds, one after the other from --seed; {QuickSeeds} "
        + "with --quick. Fewer than 2 decide nothing");
    private readonly Option<int> _jobs = SampleOptions.Whole("--jobs", Environment.ProcessorCount, 1, "Processes that run at a time, each on one thread; "
        + "numbers do not depend on it");
    private readonly Option<bool> _again = new("--again") { Description = "Runs nothing: decides and draws again from the runs in the folder" };
    private readonly Option<bool> _worker = new("--worker") { Hidden = true };
    private readonly Option<DirectoryInfo> _data = new("--data")
    {
        Description = "Folder with MNIST's four IDX files instead of the subset that comes along",
        HelpName = "DIR"
    };
    private readonly Option<DirectoryInfo> _out = SampleOptions.Out(Path.Combine("out", "gallery"));

    public CommandLine()
    {
        Root = new RootCommand(
            "Tries what the literature claims about gradients, initialization, clipping and normalization on real data, and gathers claims, pictures, "
            + "numbers and "
            + "verdicts in one page, index.html. Ctrl-C ends early and keeps the experiments that were done.");
        foreach (var option in new Option[] { _only, _quick, _seed, _seeds, _jobs, _again, _data, _out, _worker }) Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    /// <summary>Whether another process of this program started this one to work for it.</summary>
    public bool IsWorker(ParseResult parsed) => parsed.GetValue(_worker);

    public Settings Settings(ParseResult parsed)
    {
        var experiments = parsed.GetValue(_only) is { Length: > 0 } only ? Catalogue.All.Where(only.Contains).ToArray() : Catalogue.All;
        return new Settings(experiments, parsed.GetValue(_quick), [.. Enumerable.Range(parsed.GetValue(_seed), parsed.OrQuick(_seeds, _quick, QuickSeeds))],
            parsed.GetValue(_jobs), parsed.GetValue(_again),
            parsed.GetValue(_data) ?? Mnist.OwnFolder, parsed.GetValue(_out)!);
    }

    /// <summary>How to start a worker with the same data and length of runs.</summary>
    public static IReadOnlyList<string> Worker(Settings settings) =>
        ["--worker", .. settings.Quick ? ["--quick"] : Array.Empty<string>(), "--data", settings.Data.FullName];

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
