using static TorchSharp.torch;

namespace Gallery;

/// <summary>An experiment that measures the same once for each seed and concludes from all of them.</summary>
/// <typeparam name="TRun">What one seed gives: plain numbers, no tensors.</typeparam>
internal abstract class Experiment<TRun> : IExperiment
{
    public abstract int Number { get; }

    public abstract string Name { get; }

    public abstract string Title { get; }

    public abstract string Claim { get; }

    public abstract string Source { get; }

    public abstract string SetUp(Lab lab);

    public Finding Run(Lab lab)
    {
        var runs = new List<TRun>();
        foreach (int seed in lab.Each(lab.Seeds))
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            runs.Add(Measure(lab, seed));
        }
        return Conclude(lab, runs);
    }

    /// <summary>One seed. What takes long goes through <see cref="Lab.Each{T}"/>, which shows progress and ends on Ctrl-C.</summary>
    protected abstract TRun Measure(Lab lab, int seed);

    /// <summary>Picture, tables and checks over all seeds.</summary>
    protected abstract Finding Conclude(Lab lab, IReadOnlyList<TRun> runs);
}
