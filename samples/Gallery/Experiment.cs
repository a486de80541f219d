using static TorchSharp.torch;

namespace Gallery;

/// <summary>An experiment that trains its arms, each at some learning rates, under every seed, and concludes from all of it.</summary>
/// <typeparam name="TSetting">What tells one arm from another.</typeparam>
internal abstract class Experiment<TSetting> : IExperiment
{
    public abstract int Number { get; }

    public abstract string Name { get; }

    public abstract string Title { get; }

    public abstract string Claim { get; }

    public abstract IReadOnlyList<Paper> Sources { get; }

    public abstract double Cost { get; }

    public virtual bool Alone => false;

    /// <summary>What is compared.</summary>
    protected abstract IReadOnlyList<Arm<TSetting>> Arms { get; }

    public abstract string SetUp(Lab lab);

    public SeedRun Measure(Lab lab, int seed)
    {
        var run = new SeedRun();
        foreach (var arm in lab.Each(Arms))
        {
            foreach (double rate in lab.Each(Rates(lab, arm)))
            {
                using var scope = NewDisposeScope();
                // Every training starts from the same numbers: arms are compared in pairs.
                manual_seed(seed);
                run[SeedRun.Key(arm.Name, rate)] = Train(lab, arm.Setting, rate, seed);
            }
        }
        return run;
    }

    public Finding Conclude(Lab lab, IReadOnlyList<SeedRun> seeds)
    {
        var runs = new Runs(seeds, [.. Arms.Select(arm => (arm.Name, Rates(lab, arm)))]);
        var finding = Conclude(lab, runs);
        return runs.Choices() is { } choices ? finding with { Tables = [.. finding.Tables, choices] } : finding;
    }

    /// <summary>One training. What takes long goes through <see cref="Lab.Each{T}"/>, which shows progress and ends on Ctrl-C.</summary>
    protected abstract Trained Train(Lab lab, TSetting setting, double rate, int seed);

    /// <summary>Pictures, tables and checks over all seeds.</summary>
    protected abstract Finding Conclude(Lab lab, Runs runs);

    /// <summary>A short run decides nothing, so it chooses nothing either.</summary>
    private static IReadOnlyList<double> Rates(Lab lab, Arm<TSetting> arm) => lab.Quick ? [arm.Rates[0]] : arm.Rates;
}
