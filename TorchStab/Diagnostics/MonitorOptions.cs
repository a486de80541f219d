namespace TorchStab;

/// <summary>How often a monitor samples, how many reports it keeps, and beyond which thresholds it reports a layer.</summary>
public sealed record MonitorOptions
{
    /// <summary>Samples every n-th call, starting with the first; at least 1. Default: 10. Use 1 to find the origin of a NaN.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Every { get; init => field = VerdictThresholds.AtLeastOne(value, nameof(Every)); } = 10;

    /// <summary>The number of reports that are kept, the latest ones; at least 1. Default: 256.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Capacity { get; init => field = VerdictThresholds.AtLeastOne(value, nameof(Capacity)); } = 256;

    /// <summary>The thresholds of verdicts. Default: those of <see cref="VerdictThresholds"/>.</summary>
    /// <exception cref="ArgumentNullException">Null.</exception>
    public VerdictThresholds Thresholds { get; init => field = value ?? throw new ArgumentNullException(nameof(Thresholds)); } = new();
}
