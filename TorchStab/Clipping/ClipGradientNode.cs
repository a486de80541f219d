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
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias) =>
        Differentiate(state, outputGradient, input, weight);

    /// <inheritdoc/>
    protected override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight)
    {
        double bound = state.SavedNumbers[0];
        // A half type's own norm overflows from 65504 on.
        var norm = linalg.vector_norm(outputGradient.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? outputGradient.to(ScalarType.Float32) : outputGradient);
        // A gradient that is not finite stays as it is, so that whoever looks for NaN finds where it came from. Masked before the division: its derivative is finite.
        var within = norm.gt(bound).logical_and(norm.isfinite()).logical_not();
        var factor = norm.masked_fill(within, 1).reciprocal().mul(bound).masked_fill(within, 1);
        return (outputGradient * factor.to(outputGradient.dtype), null, null);
    }
}
