using TorchStab.Diagnostics;

namespace TorchStab;

/// <summary>
/// From where on a number is a disease. The defaults are wide: they pass over what healthy networks show at the start and the end of their
/// training and meet what cannot learn. Verdicts compare medians over the latest <see cref="Samples"/> reports.
/// </summary>
public sealed record VerdictThresholds
{
    /// <summary>How many of the latest reports a verdict is passed on; at least 1. Default: 5.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Samples { get; init => field = Check.AtLeastOne(value, nameof(Samples)); } = 5;

    /// <summary>Vanishing: a layer's gradient norm below this share of the last layer's. Default: 1e-3.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double VanishingRatio { get; init => field = Check.NotNaN(value, nameof(VanishingRatio)); } = 1e-3;

    /// <summary>Exploding: a layer's gradient norm above this multiple of the last layer's, and above the norm of its own weights. Default: 1e3.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double ExplodingRatio { get; init => field = Check.NotNaN(value, nameof(ExplodingRatio)); } = 1e3;

    /// <summary>Exploding: a layer's gradient norm above this multiple of the norm of all weights. Default: 100.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double ExplodingToWeights { get; init => field = Check.NotNaN(value, nameof(ExplodingToWeights)); } = 100;

    /// <summary>
    /// Too large: a step that changes a layer by more than this share of its norm, or of a fresh layer's (U(−1/√fan, 1/√fan), scales of 1) where that is
    /// more, as in a table that starts at zero. Default: 0.2; about 1e-3 is usual, and Adam at 1e-3 starts at 0.05 in a layer of 784 inputs.
    /// </summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double LargestUpdate { get; init => field = Check.NotNaN(value, nameof(LargestUpdate)); } = 0.2;

    /// <summary>Too small: a step that changes a layer by less than this share of its norm. Default: 1e-7, float32's resolution.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double SmallestUpdate { get; init => field = Check.NotNaN(value, nameof(SmallestUpdate)); } = 1e-7;

    /// <summary>Dead: the share of a rectifier's units that are zero for a whole batch. Default: 0.5.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double DeadShare { get; init => field = Check.NotNaN(value, nameof(DeadShare)); } = 0.5;

    /// <summary>Deadness is judged from so many values of each unit on: few rows leave many units at zero by chance. Default: 32.</summary>
    public long DeadRows { get; init; } = 32;

    /// <summary>Saturated: the share of values at which the function is flat. Default: 0.5.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double SaturatedShare { get; init => field = Check.NotNaN(value, nameof(SaturatedShare)); } = 0.5;

    /// <summary>
    /// Flat: where the function's slope is below this share of its largest. Default: 0.05, a sigmoid outside (0.013, 0.987) and a tanh beyond ±0.975.
    /// </summary>
    /// <exception cref="ArgumentException">Below 0, above 1, or NaN.</exception>
    public double FlatSlope { get; init => field = Check.Share(value, nameof(FlatSlope)); } = 0.05;
}
