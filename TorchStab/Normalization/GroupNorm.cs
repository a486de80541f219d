using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Group normalization over the channels of a group and all positions of one sample, the same in training and in evaluation:
/// <para>y = (x − mean) / √(var + eps) · weight + bias</para>
/// with the biased variance; weight and bias have one entry per channel. Dtypes: float64, float32, bfloat16 and float16; float16 and bfloat16
/// accumulate in float32 and also accept float32 parameters. Empty inputs give empty outputs; a non-finite value affects its own group only.
/// </summary>
/// <remarks>Wu, He: Group Normalization, 2018 (arXiv 1803.08494); <c>torch.nn.GroupNorm</c>.</remarks>
public sealed class GroupNorm : AffineModule
{
    internal GroupNorm(long num_groups, long num_channels, double eps, bool affine, Device? device, ScalarType? dtype) : base(nameof(GroupNorm))
    {
        if (num_groups <= 0)
            throw new ArgumentOutOfRangeException(nameof(num_groups),
                FormattableString.Invariant($"Expected num groups to be greater than 0, got {num_groups}"));
        if (num_channels % num_groups != 0)
            throw new ArgumentException(
                FormattableString.Invariant($"num_channels must be divisible by num_groups; got num_channels = {num_channels} and num_groups = {num_groups}"),
                nameof(num_groups));
        this.num_groups = num_groups;
        this.num_channels = num_channels;
        this.eps = eps;
        this.affine = affine;
        if (!affine) return;
        weight = ParameterFactory.Ones([num_channels], dtype, device, nameof(num_channels));
        bias = ParameterFactory.Zeros([num_channels], dtype, device, nameof(num_channels));
    }

    /// <summary>The number of groups; each has the same number of consecutive channels.</summary>
    public long num_groups { get; }

    /// <summary>The number of channels: the length of <see cref="AffineModule.weight"/>.</summary>
    public long num_channels { get; }

    /// <summary>Added to the variance of a group.</summary>
    public double eps { get; set; }

    /// <summary>Whether the module was made with a weight and a bias per channel.</summary>
    public bool affine { get; }

    /// <summary>Normalizes each group of channels of each sample of <paramref name="input"/>.</summary>
    /// <param name="input">Shape (N, <see cref="num_channels"/>, *).</param>
    /// <returns>The same shape and dtype. A channels_last input gives a channels_last output; any other input gives a contiguous one.</returns>
    /// <exception cref="ArgumentException">
    /// The number of channels does not fit, a group has only one value, or the dtypes do not match. Without affine parameters any number of
    /// channels that <see cref="num_groups"/> divides is accepted, as in PyTorch.
    /// </exception>
    public override Tensor forward(Tensor input) => GroupNormFunctional.Apply(input, num_groups, WeightOrNull, bias, eps);

    /// <inheritdoc/>
    public override string extra_repr() => $"{num_groups}, {num_channels}, eps={Repr.Of(eps)}, affine={Repr.Of(affine)}";
}
