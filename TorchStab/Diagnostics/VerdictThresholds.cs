namespace TorchStab;

/// <summary>
/// The limits beyond which a layer is reported. The defaults are wide: healthy networks stay within them from the start to the end of training, and
/// networks that cannot learn exceed them. Verdicts compare medians over the latest <see cref="Samples"/> reports.
/// </summary>
public sealed record VerdictThresholds
{
    /// <summary>The number of latest reports that a verdict is based on; at least 1. Default: 5.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Samples { get; init => field = AtLeastOne(value, nameof(Samples)); } = 5;

    /// <summary>Vanishing: a layer's gradient norm is below this share of the last layer's. Default: 1e-3.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double VanishingRatio { get; init => field = NotNaN(value, nameof(VanishingRatio)); } = 1e-3;

    /// <summary>Exploding: a layer's gradient norm is above this multiple of the last layer's, and above the norm of its own weights. Default: 1e3.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double ExplodingRatio { get; init => field = NotNaN(value, nameof(ExplodingRatio)); } = 1e3;

    /// <summary>Exploding: a layer's gradient norm is above this multiple of the norm of all weights. Default: 100.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double ExplodingToWeights { get; init => field = NotNaN(value, nameof(ExplodingToWeights)); } = 100;

    /// <summary>
    /// Update too large: a step changes a layer by more than this share of its norm. If the layer's norm is smaller than that of its default weights
    /// (U(−1/√fan, 1/√fan), scales of 1), as in a layer that starts at zero, the latter counts. Default: 0.2. About 1e-3 is usual; Adam at 1e-3 starts at
    /// 0.05 in a layer of 784 inputs.
    /// </summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double LargestUpdate { get; init => field = NotNaN(value, nameof(LargestUpdate)); } = 0.2;

    /// <summary>Update too small: a step changes a layer by less than this share of its norm. Default: 1e-7, float32's resolution.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double SmallestUpdate { get; init => field = NotNaN(value, nameof(SmallestUpdate)); } = 1e-7;

    /// <summary>Dead: the share of a rectifier's units that are zero for a whole batch. Default: 0.5.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double DeadShare { get; init => field = NotNaN(value, nameof(DeadShare)); } = 0.5;

    /// <summary>Dead units are counted only if each unit has at least this many values, because few values are all zero by chance. Default: 32.</summary>
    public long DeadRows { get; init; } = 32;

    /// <summary>Saturated: the share of a function's values in its flat ends. Default: 0.5.</summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double SaturatedShare { get; init => field = NotNaN(value, nameof(SaturatedShare)); } = 0.5;

    /// <summary>
    /// Large logits: the largest |x| of a watched tensor. Default: 10,000; all runs of Wortsman et al. 2023 (arXiv 2309.14322) that exceeded it diverged.
    /// </summary>
    /// <exception cref="ArgumentException">NaN.</exception>
    public double LargestLogit { get; init => field = NotNaN(value, nameof(LargestLogit)); } = 1e4;

    /// <summary>
    /// A function is flat where its slope is below this share of its largest slope. Default: 0.05: a sigmoid outside (0.013, 0.987), a tanh beyond ±0.975.
    /// </summary>
    /// <exception cref="ArgumentException">Below 0, above 1, or NaN.</exception>
    public double FlatSlope { get; init => field = Share(value, nameof(FlatSlope)); } = 0.05;

    internal static int AtLeastOne(int value, string name) => value >= 1 ? value
        : throw new ArgumentException(FormattableString.Invariant($"expected at least 1, got {value}"), name);

    // A threshold is any number. Infinity turns its verdict off; NaN would do so without a warning.
    private static double NotNaN(double value, string name) => double.IsNaN(value) ? throw new ArgumentException("expected a number, got NaN", name) : value;

    private static double Share(double value, string name) => value is >= 0 and <= 1 ? value
        : throw new ArgumentException(FormattableString.Invariant($"expected a share from 0 to 1, got {value}"), name);
}
