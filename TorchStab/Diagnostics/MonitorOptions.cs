using TorchStab.Diagnostics;

namespace TorchStab;

/// <summary>How a monitor samples, what it keeps, and from where on it calls something a disease.</summary>
public sealed record MonitorOptions
{
    private readonly int _every = 10, _capacity = 256;

    /// <summary>Every how manieth call is looked at, the first included; at least 1. Default: 10. Take 1 to hunt a NaN.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Every
    {
        get => _every;
        init => _every = Check.AtLeastOne(value, nameof(Every));
    }

    /// <summary>How many reports are kept, the latest; at least 1. Default: 256.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Capacity
    {
        get => _capacity;
        init => _capacity = Check.AtLeastOne(value, nameof(Capacity));
    }

    /// <summary>From where on a verdict is passed.</summary>
    public VerdictThresholds Thresholds { get; init; } = new();
}
