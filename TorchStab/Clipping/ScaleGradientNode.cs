using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>y = x, whose gradient is multiplied by a factor.</summary>
internal sealed class ScaleGradientNode : LinearOp
{
    private static readonly ScaleGradientNode Op = new();

    /// <summary>A new tensor of the same values; the caller's scope owns it.</summary>
    public static Tensor Apply(Tensor x, double factor)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!double.IsFinite(factor)) throw new ArgumentException($"expected a finite number, got {Repr.Of(factor)}", nameof(factor));
        return Op.Record(Same(x), x, null, null, [factor]);
    }

    /// <summary>A copy outside the graph. Not a view: what is changed in place afterwards would change the input too, behind autograd's back.</summary>
    public static Tensor Same(Tensor x)
    {
        using var _ = no_grad();
        return x.clone();
    }

    /// <inheritdoc/>
    protected override Tensor Transpose(NodeState state, Tensor outputGradient) => outputGradient * state.SavedNumbers[0];
}
