namespace TorchStab;

/// <summary>Options of <c>swap_norms_</c>.</summary>
public sealed record SwapOptions
{
    /// <summary>The norm that replaces every BatchNorm. Default: <see cref="BatchNormTarget.Same"/>.</summary>
    /// <exception cref="ArgumentNullException">Null.</exception>
    public BatchNormTarget BatchNorm { get; init => field = value ?? throw new ArgumentNullException(nameof(BatchNorm)); } = BatchNormTarget.Same;

    /// <summary>
    /// Whether a BatchNorm that is followed by a ReLU in a Sequential becomes a BatchNormReLU, and the ReLU an Identity (names and state-dict keys stay). In
    /// other modules the order is in the code of <c>forward</c>, and nothing is fused. Default: false.
    /// </summary>
    public bool FuseReLU { get; init; }

    /// <summary>
    /// What happens to the weight and bias of a <c>torch.nn.GroupNorm</c>, which TorchSharp does not initialize. Default:
    /// <see cref="GroupNormWeights.Repair"/>.
    /// </summary>
    public GroupNormWeights GroupNorm { get; init; }

    /// <summary>Returns true for a norm to exchange, given its name as in <c>named_modules()</c>. Default: null, all norms.</summary>
    public Func<string, bool>? Filter { get; init; }

    /// <summary>
    /// Whether the call fails, with nothing changed, if one norm cannot be exchanged (also one that is not registered, or inside a layer of libtorch's own).
    /// Default: false; such norms are listed in the report.
    /// </summary>
    public bool RequireAll { get; init; }
}
