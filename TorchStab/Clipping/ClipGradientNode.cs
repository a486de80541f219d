using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>y = x, whose gradient g becomes g·min(1, c/‖g‖). Not linear in g: derivatives of derivatives go through the norm.</summary>
internal sealed class ClipGradientNode : TensorOp
{
    private static readonly ClipGradientNode Op = new();

    /// <inheritdoc/>
    public override bool NeedsInput => false;

    /// <summary>A new tensor of the same values; the caller's scope owns it.</summary>
    public static Tensor Apply(Tensor x, double max_norm)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!(max_norm >= 0)) throw new ArgumentException($"expected a number of at least 0, got {Repr.Of(max_norm)}", nameof(max_norm));
        return Op.Record(ScaleGradientNode.Same(x), x, null, null, [max_norm]);
    }

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input,
        Tensor? weight, Tensor? bias) =>
        Differentiate(state, outputGradient, input, weight);

    /// <inheritdoc/>
    protected override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight)
    {
        if (outputGradient.numel() == 0) return (outputGradient.alias(), null, null);
        // Relative to the largest element, so that no square overflows or vanishes: squares of 1e20 do in float32, of 300 in float16.
        var g = outputGradient.to(GradientNorms.Accumulator(outputGradient));
        var largest = g.detach().abs().amax();
        largest = largest.masked_fill(largest.eq(0).logical_or(largest.isfinite().logical_not()), 1);
        var norm = linalg.vector_norm(g / largest);
        // By a cast, which makes a bound beyond float32 infinite: libtorch refuses to fill with one.
        var bound = tensor(state.SavedNumbers[0], ScalarType.Float64, CPU).to(largest.dtype, largest.device) / largest;
        // A gradient that is not finite does not change, so that a search for NaN finds its origin. Masked before the division: its derivative is finite.
        var within = norm.gt(bound).logical_and(norm.isfinite()).logical_not();
        var factor = (bound / norm.masked_fill(within, 1)).masked_fill(within, 1);
        return ((g * factor).to(outputGradient.dtype), null, null);
    }
}
