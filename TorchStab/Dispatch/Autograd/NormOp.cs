using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// What an op tells the autograd plug: how its gradients are computed. Inputs stand in three places, the input, the weight and the
/// bias, of which the last two may be missing. One instance serves all calls; what differs between calls is in <see cref="NodeState"/>.
/// </summary>
internal abstract class NormOp
{
    /// <summary>What users call it, in errors.</summary>
    public virtual string Name => GetType().Name.Replace("Node", "", StringComparison.Ordinal);

    /// <summary>Whether the backward pass needs the input. One that is not saved may be changed in place afterwards, and is not held by the graph.</summary>
    public virtual bool NeedsInput => true;

    /// <summary>Whether the backward pass needs the bias: only where an activation's mask is recomputed.</summary>
    public virtual bool NeedsBias => false;

    /// <summary>Computes the wanted gradients by kernel, from handles; a bias that was not saved is 0. The gradients' handles are new. What was not saved is 0.</summary>
    public abstract void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients);

    /// <summary>
    /// The wanted gradients in tensor operations, from tensors that are part of the graph: for derivatives of derivatives. A bias that was not saved is
    /// null. Intermediate tensors are left to the caller's scope.
    /// </summary>
    public abstract (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias);
}

/// <summary>Handles of an input, a weight and a bias, or of their gradients; 0 where there is none.</summary>
internal struct Handles
{
    public nint Input, Weight, Bias;

    public readonly unsafe void Dispose()
    {
        if (Input != 0) LibTorch.Dispose(Input);
        if (Weight != 0) LibTorch.Dispose(Weight);
        if (Bias != 0) LibTorch.Dispose(Bias);
    }
}
