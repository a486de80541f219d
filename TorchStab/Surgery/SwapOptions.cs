namespace TorchStab;

/// <summary>What <c>swap_norms_</c> may do beyond exchanging each norm for its twin.</summary>
public sealed record SwapOptions
{
    /// <summary>What every BatchNorm becomes. Default: <see cref="BatchNormTarget.Same"/>.</summary>
    /// <exception cref="ArgumentNullException">Null.</exception>
    public BatchNormTarget BatchNorm { get; init => field = value ?? throw new ArgumentNullException(nameof(BatchNorm)); } = BatchNormTarget.Same;

    /// <summary>
    /// Whether a BatchNorm that is followed by a ReLU in a Sequential becomes a BatchNormReLU, and the ReLU an Identity (names and
    /// state-dict keys stay). Elsewhere the order is in the code of <c>forward</c>, which is not read. Default: false.
    /// </summary>
    public bool FuseReLU { get; init; }

    /// <summary>What happens to the weight and bias of a <c>torch.nn.GroupNorm</c>, which TorchSharp leaves uninitialised. Default: <see cref="GroupNormWeights.Repair"/>.</summary>
    public GroupNormWeights GroupNorm { get; init; }

    /// <summary>Which norms to exchange, by path as in <c>named_modules()</c>. Default: null, all.</summary>
    public Func<string, bool>? Filter { get; init; }

    /// <summary>Whether one norm that can't be exchanged makes the call fail, with nothing changed, instead of being listed: one that is not registered, or inside a layer of libtorch's own, too. Default: false.</summary>
    public bool RequireAll { get; init; }
}
