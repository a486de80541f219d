using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>y = x; multiplies the gradient by this rank's share of the batch.</summary>
internal sealed class ShareNode : LinearOp
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
    protected override Tensor Transpose(NodeState state, Tensor outputGradient) => outputGradient * state.Kept[0];
}
