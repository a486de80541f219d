using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Layer normalization over the trailing dimensions, the same in training and in evaluation:
/// <para>y = (x − mean) / √(var + eps) · weight + bias</para>
/// with the mean and the biased variance of each row of <see cref="normalized_shape"/> elements. Dtypes: float64, float32, bfloat16 and float16;
/// float16 and bfloat16 accumulate in float32 and also accept float32 parameters. Empty inputs give empty outputs; a non-finite value affects
/// its own row only.
/// </summary>
/// <remarks>Ba, Kiros, Hinton: Layer Normalization, 2016 (arXiv 1607.06450); <c>torch.nn.LayerNorm</c>.</remarks>
public sealed class LayerNorm : AffineModule
{
    internal LayerNorm(long[] normalized_shape, double eps, bool elementwise_affine, bool bias, Device? device, ScalarType? dtype)
        : base(nameof(LayerNorm))
    {
        NormalizedShape.RequireAny(normalized_shape);
        this.normalized_shape = [.. normalized_shape];
        this.eps = eps;
        this.elementwise_affine = elementwise_affine;
        if (!elementwise_affine) return;
        weight = ParameterFactory.Ones(normalized_shape, dtype, device, nameof(normalized_shape));
        if (bias) this.bias = ParameterFactory.Zeros(normalized_shape, dtype, device, nameof(normalized_shape));
    }

    /// <summary>The sizes of the trailing dimensions that a row consists of.</summary>
    public long[] normalized_shape { get; }

    /// <summary>Added to the variance.</summary>
    public double eps { get; set; }

    /// <summary>Whether the module was made with a weight of the normalized shape.</summary>
    public bool elementwise_affine { get; }

    /// <summary>Normalizes the last dimensions of <paramref name="input"/>.</summary>
    /// <param name="input">Shape (*, <see cref="normalized_shape"/>).</param>
    /// <returns>The same shape and dtype, contiguous.</returns>
    /// <exception cref="ArgumentException">The trailing sizes differ from <see cref="normalized_shape"/>, or the dtypes do not match.</exception>
    public override Tensor forward(Tensor input) => LayerNormFunctional.Apply(input, normalized_shape, WeightOrNull, bias, eps);

    /// <summary>
    /// Normalizes every row with the mean and the variance of the elements that the mask selects, so that padding has no influence:
    /// mean = Σ m·x / Σ m, var = Σ m·(x − mean)² / Σ m, with the mask m broadcast to the input first.
    /// </summary>
    /// <param name="input">Shape (*, <see cref="normalized_shape"/>).</param>
    /// <param name="mask">
    /// Broadcasts to the input. Booleans, or weights ≥ 0; false or 0 excludes an element. A row without a selected element has mean and variance 0.
    /// </param>
    /// <returns>The same shape and dtype, contiguous.</returns>
    /// <exception cref="ArgumentException">As for <see cref="forward(Tensor)"/>, or the mask does not broadcast to the input.</exception>
    public Tensor forward(Tensor input, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        return LayerNormFunctional.Apply(input, normalized_shape, WeightOrNull, bias, eps, mask);
    }

    /// <inheritdoc/>
    public override string extra_repr() => $"{Repr.Tuple(normalized_shape)}, eps={Repr.Of(eps)}, elementwise_affine={Repr.Of(elementwise_affine)}";
}
