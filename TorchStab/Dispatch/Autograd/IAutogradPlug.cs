using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The way an op that a kernel computed enters the autograd graph. Two implementations: <see cref="AutogradPlug"/> chooses.</summary>
internal interface IAutogradPlug
{
    /// <summary>A state for one call.</summary>
    NodeState Rent();

    /// <summary>Takes back a state that was not attached.</summary>
    void Return(NodeState state);

    /// <summary>
    /// Records the op: saves the input, the weight and, where the op needs it, the bias, takes over <paramref name="output"/>, and notes in the state that the
    /// graph owns it. Where it fails the state stays the caller's. The tensor returned is the caller's.
    /// </summary>
    Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output);
}
