using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Root-mean-square normalization over the trailing dimensions, the same in training and in evaluation:
/// <para>y = x / √(mean(x²) + eps) · weight</para>
/// Dtypes: float64, float32, bfloat16 and float16; float16 and bfloat16 accumulate in float32. Empty inputs give empty outputs; a non-finite
/// value affects its own row only.
/// </summary>
/// <remarks>Zhang, Sennrich: Root Mean Square Layer Normalization, 2019 (arXiv 1910.07467); <c>torch.nn.RMSNorm</c>.</remarks>
public sealed class RMSNorm : AffineModule
{
    internal RMSNorm(long[] normalized_shape, double? eps, bool elementwise_affine, Device? device, ScalarType? dtype) : base(nameof(RMSNorm))
    {
        NormalizedShape.RequireAny(normalized_shape);
        this.normalized_shape = [.. normalized_shape];
        this.eps = eps;
        this.elementwise_affine = elementwise_affine;
        if (elementwise_affine) weight = ParameterFactory.Ones(normalized_shape, dtype, device, nameof(normalized_shape));
    }

    /// <inheritdoc cref="LayerNorm.normalized_shape"/>
    public long[] normalized_shape { get; }

    /// <summary>Added to the mean square; null: the machine epsilon of the input's dtype.</summary>
    public double? eps { get; set; }

    /// <inheritdoc cref="LayerNorm.elementwise_affine"/>
    public bool elementwise_affine { get; }

    /// <summary>Divides <paramref name="input"/> by its root mean square over the last dimensions.</summary>
    /// <param name="input">Shape (*, <see cref="normalized_shape"/>).</param>
    /// <returns>The same shape, dtype and memory layout.</returns>
    /// <exception cref="ArgumentException">The trailing sizes differ from <see cref="normalized_shape"/>, or the input is not floating-point.</exception>
    public override Tensor forward(Tensor input) => RMSNormFunctional.Apply(input, normalized_shape, WeightOrNull, eps);

    /// <inheritdoc/>
    public override string extra_repr() => $"{Repr.Tuple(normalized_shape)}, eps={Repr.Of(eps)}, elementwise_affine={Repr.Of(elementwise_affine)}";
}
