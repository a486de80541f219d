using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>y = x, whose gradient is multiplied by this rank's share of the batch.</summary>
internal sealed class ShareNode : TensorOp
{
    private static readonly ShareNode Op = new();

    /// <summary>A new tensor of the same values; the caller's scope owns it.</summary>
    public static Tensor Weigh(Tensor x, double share)
    {
        Tensor copy;
        using (no_grad()) copy = x.clone();
        return Op.Record(copy, x, null, null, [share]);
    }

    /// <inheritdoc/>
    public override long[] AffineShape(NodeState state) => [];

    /// <inheritdoc/>
    protected override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight) =>
        (outputGradient * state.Kept[0], null, null);
}
