using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Adds an op that a kernel has computed to the autograd graph. <see cref="AutogradPlug"/> chooses one of two implementations.</summary>
internal interface IAutogradPlug
{
    /// <summary>Returns a state for one call.</summary>
    NodeState Rent();

    /// <summary>Takes back a state that was not attached to a graph.</summary>
    void Return(NodeState state);

    /// <summary>
    /// Records the op: saves the input, the weight and, if the op needs it, the bias, takes ownership of <paramref name="output"/>, and marks the state as
    /// owned by the graph. If it fails, the caller still owns the state. The caller owns the returned tensor.
    /// </summary>
    Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output);
}
