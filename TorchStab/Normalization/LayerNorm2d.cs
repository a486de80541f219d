using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Layer normalization over the channels of an image, the same in training and in evaluation:
/// <para>y = (x − mean) / √(var + eps) · weight + bias</para>
/// with the mean and the biased variance of the <see cref="num_channels"/> values at each position; weight and bias have one entry per channel.
/// It is LayerNorm over the last dimension of the input permuted to (N, H, W, C), permuted back. Dtypes: float64, float32, bfloat16 and float16;
/// float16 and bfloat16 accumulate in float32 and also accept float32 parameters. Empty inputs give empty outputs; a non-finite value affects
/// its own position only.
/// </summary>
/// <remarks>
/// On the CPU a contiguous or channels_last input is normalized where it is; any other is copied before and after. Source: Liu et al., A ConvNet for the 2020s,
/// 2022 (arXiv 2201.03545), whose eps is 1e-6.
/// </remarks>
public sealed class LayerNorm2d : AffineModule
{
    internal LayerNorm2d(long num_channels, double eps, bool affine, Device? device, ScalarType? dtype) : base(nameof(LayerNorm2d))
    {
        if (num_channels <= 0)
            throw new ArgumentOutOfRangeException(nameof(num_channels), FormattableString.Invariant($"expected at least one channel, got {num_channels}"));
        (this.num_channels, this.eps, this.affine) = (num_channels, eps, affine);
        if (!affine) return;
        weight = ParameterFactory.Ones([num_channels], dtype, device, nameof(num_channels));
        bias = ParameterFactory.Zeros([num_channels], dtype, device, nameof(num_channels));
    }

    /// <summary>C, how many channels are normalized together at each position (the size of dimension 1).</summary>
    public long num_channels { get; }

    /// <summary>Added to the variance of the channels.</summary>
    public double eps { get; set; }

    /// <summary>Whether there are a weight and a bias per channel.</summary>
    public bool affine { get; }

    /// <summary>Normalizes the channels at each position of <paramref name="input"/>.</summary>
    /// <param name="input">Shape (N, <see cref="num_channels"/>, H, W).</param>
    /// <returns>The same shape and dtype. A channels_last input gives a channels_last output; any other input gives a contiguous one.</returns>
    /// <exception cref="ArgumentException">The rank or the number of channels differs, or the dtypes do not match.</exception>
    public override Tensor forward(Tensor input) => LayerNorm2dFunctional.Apply(input, num_channels, WeightOrNull, bias, eps, mask: null);

    /// <summary>
    /// Normalizes every position with the mean and the variance of the channels that the mask selects:
    /// mean = Σ m·x / Σ m, var = Σ m·(x − mean)² / Σ m, with the mask m broadcast to the input first.
    /// </summary>
    /// <param name="input">Shape (N, <see cref="num_channels"/>, H, W).</param>
    /// <param name="mask">
    /// Broadcasts to the input. Booleans, or weights of at least 0; false or 0 excludes a value. A position without a selected value has mean and
    /// variance 0.
    /// </param>
    /// <returns>The same shape and dtype. A channels_last input gives a channels_last output; any other input gives a contiguous one.</returns>
    /// <exception cref="ArgumentException">As for <see cref="forward(Tensor)"/>, or the mask does not broadcast to the input.</exception>
    public Tensor forward(Tensor input, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        return LayerNorm2dFunctional.Apply(input, num_channels, WeightOrNull, bias, eps, mask);
    }

    /// <inheritdoc/>
    public override string extra_repr() => $"{num_channels}, eps={Repr.Of(eps)}, affine={Repr.Of(affine)}";
}
