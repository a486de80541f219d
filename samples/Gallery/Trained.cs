namespace Gallery;

/// <summary>What one training left, in plain numbers.</summary>
/// <param name="Score">How good it is on the validation images, more is better: what the learning rate is chosen by.</param>
/// <param name="Series">What was measured, by name: one number, or one for each look.</param>
/// <param name="LostAfter">The step after which loss or weights were not finite; null: it ran to its end.</param>
internal sealed record Trained(double Score, IReadOnlyDictionary<string, double[]> Series, int? LostAfter = null)
{
    public static Trained Of(double score, int? lostAfter, params (string Name, double[] Values)[] series) =>
        new(score, series.ToDictionary(s => s.Name, s => s.Values), lostAfter);

    /// <summary>A series' last number.</summary>
    public double Last(string series) => Series[series][^1];
}

/// <summary>All trainings under one seed, by <see cref="Key"/>.</summary>
internal sealed class SeedRun : Dictionary<string, Trained>
{
    public static string Key(string arm, double rate) => $"{arm} | {rate}";
}

/// <summary>Everything that an experiment measured, as it stands in its file: enough to decide and draw again without running.</summary>
/// <param name="Seeds">In the order of the runs.</param>
/// <param name="Runs">One for each seed.</param>
/// <param name="Short">Whether it was a short run.</param>
/// <param name="Seconds">The processor's.</param>
/// <param name="Date">When it was done.</param>
/// <param name="Machine">Where.</param>
internal sealed record Record(IReadOnlyList<int> Seeds, IReadOnlyList<SeedRun> Runs, bool Short, double Seconds, DateTimeOffset Date, string Machine);

/// <summary>One of the things an experiment compares, and the learning rates it may choose from.</summary>
/// <param name="Name">What tables and legends call it.</param>
/// <param name="Setting">What the experiment needs to make it.</param>
/// <param name="Rates">Tried, each with every seed.</param>
internal sealed record Arm<TSetting>(string Name, TSetting Setting, params IReadOnlyList<double> Rates);
