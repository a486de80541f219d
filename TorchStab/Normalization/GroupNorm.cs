using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Group normalization over the channels of a group and all positions of one sample, in training and evaluation alike:
/// <para>y = (x − mean) / √(var + eps) · weight + bias</para>
/// with the biased variance, weight and bias per channel. float64, float32, bfloat16 and float16; the half types accumulate in float32 and
/// also take float32 parameters. Empty inputs give empty outputs; a non-finite value stays within its group.
/// </summary>
/// <remarks>Wu, He: Group Normalization, 2018 (arXiv 1803.08494); <c>torch.nn.GroupNorm</c>.</remarks>
public sealed class GroupNorm : AffineModule
{
    internal GroupNorm(long num_groups, long num_channels, double eps, bool affine, Device? device, ScalarType? dtype) : base(nameof(GroupNorm))
    {
        if (num_groups <= 0)
            throw new ArgumentOutOfRangeException(nameof(num_groups), FormattableString.Invariant($"Expected num groups to be greater than 0, got {num_groups}"));
        if (num_channels % num_groups != 0)
            throw new ArgumentException(
                FormattableString.Invariant($"num_channels must be divisible by num_groups; got num_channels = {num_channels} and num_groups = {num_groups}"), nameof(num_groups));
        this.num_groups = num_groups;
        this.num_channels = num_channels;
        this.eps = eps;
        this.affine = affine;
        if (!affine) return;
        weight = ParameterFactory.Ones([num_channels], dtype, device, nameof(num_channels));
        bias = ParameterFactory.Zeros([num_channels], dtype, device, nameof(num_channels));
    }

    /// <summary>The number of groups that the channels are split into, in order.</summary>
    public long num_groups { get; }

    /// <summary>The number of channels: the length of <see cref="AffineModule.weight"/>.</summary>
    public long num_channels { get; }

    /// <summary>Added to the variance.</summary>
    public double eps { get; set; }

    /// <summary>Whether the module was made with a weight and a bias per channel.</summary>
    public bool affine { get; }

    /// <summary>Normalizes.</summary>
    /// <param name="input">Shape (N, <see cref="num_channels"/>, *).</param>
    /// <returns>The same shape and dtype; channels_last stays so, anything else becomes contiguous.</returns>
    /// <exception cref="ArgumentException">
    /// The channels do not fit, a group has one value, or the dtypes don't go together. Without affine parameters PyTorch takes any number of
    /// channels that the groups divide, and so does this.
    /// </exception>
    public override Tensor forward(Tensor input) => GroupNormFunctional.Apply(input, num_groups, WeightOrNull, bias, eps);

    /// <inheritdoc/>
    public override string extra_repr() => $"{num_groups}, {num_channels}, eps={Repr.Of(eps)}, affine={Repr.Of(affine)}";
}
