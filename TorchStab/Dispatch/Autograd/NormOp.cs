using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// What an op tells the autograd plug: how its gradients are computed. Inputs stand in three places, the input, the weight and the
/// bias, of which the last two may be missing. One instance serves all calls; what differs between calls is in <see cref="NodeState"/>.
/// </summary>
internal abstract class NormOp
{
    /// <summary>Whether the backward pass needs the bias: only where an activation's mask is recomputed.</summary>
    public virtual bool NeedsBias => false;

    /// <summary>Whether <see cref="Backward"/> can itself be recorded, in place of <see cref="Recompute"/>.</summary>
    public virtual bool IsLinear => false;

    /// <summary>Computes the wanted gradients by kernel, from handles; a bias that was not saved is 0. The gradients' handles are new.</summary>
    public abstract void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients);

    /// <summary>The shape of the weight and the bias.</summary>
    public abstract long[] AffineShape(NodeState state);

    /// <summary>The output in tensor operations, for derivatives of derivatives. Intermediate tensors are left to the caller's scope.</summary>
    public abstract Tensor Recompute(NodeState state, Tensor input, Tensor? weight, Tensor? bias);
}

/// <summary>Handles of an input, a weight and a bias, or of their gradients; 0 where there is none.</summary>
internal struct Handles
{
    public nint Input, Weight, Bias;
}
