using TorchStab.Diagnostics;

namespace TorchStab;

/// <summary>How a monitor samples, what it keeps, and from where on it calls something a disease.</summary>
public sealed record MonitorOptions
{
    /// <summary>Every how manieth call is looked at, the first included; at least 1. Default: 10. Take 1 to hunt a NaN.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Every { get; init => field = Check.AtLeastOne(value, nameof(Every)); } = 10;

    /// <summary>How many reports are kept, the latest; at least 1. Default: 256.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Capacity { get; init => field = Check.AtLeastOne(value, nameof(Capacity)); } = 256;

    /// <summary>From where on a verdict is passed. Default: as <see cref="VerdictThresholds"/> starts.</summary>
    /// <exception cref="ArgumentNullException">Null.</exception>
    public VerdictThresholds Thresholds { get; init => field = value ?? throw new ArgumentNullException(nameof(Thresholds)); } = new();
}
