using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Describes an op to the autograd plug: how its gradients are computed. An op has an input, an optional weight and an optional bias. One instance serves all
/// calls; the data of a call is in <see cref="NodeState"/>.
/// </summary>
internal abstract class GraphOp
{
    /// <summary>The op's name in error messages.</summary>
    public virtual string Name => GetType().Name.Replace("Node", "", StringComparison.Ordinal);

    /// <summary>
    /// Whether the backward pass needs the input. If not, the input is not saved: the graph does not keep it alive, and it may be changed in place after the
    /// call.
    /// </summary>
    public virtual bool NeedsInput => true;

    /// <summary>Whether the backward pass needs the bias. Only an op that recomputes an activation's mask does.</summary>
    public virtual bool NeedsBias => false;

    /// <summary>
    /// Computes the required gradients by a kernel, from handles; an input that was not saved has handle 0. The caller owns the new handles of the gradients.
    /// </summary>
    public abstract void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients);

    /// <summary>
    /// Computes the required gradients in tensor operations, from tensors that are part of the graph, for second derivatives. A bias that was not saved is
    /// null. The caller's DisposeScope disposes intermediate tensors.
    /// </summary>
    public abstract (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias);
}

/// <summary>Handles of an input, a weight and a bias, or of their gradients; 0 for a missing one.</summary>
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
