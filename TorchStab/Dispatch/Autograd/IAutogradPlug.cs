using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The way an op that a kernel computed enters the autograd graph. Two implementations: <see cref="AutogradPlug"/> chooses.</summary>
internal interface IAutogradPlug
{
    /// <summary>A state to fill in the forward pass; ends in <see cref="Attach"/>, or in <see cref="Return"/> where the op failed.</summary>
    NodeState Rent();

    void Return(NodeState state);

    /// <summary>
    /// Records the op: saves the input, the weight and, where the op needs it, the bias, and takes over
    /// <paramref name="output"/>. The tensor returned is the caller's.
    /// </summary>
    Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output);
}

/// <summary>What every plug does the same way.</summary>
internal static class AutogradPlugs
{
    /// <summary>
    /// Attaches the output where a gradient is wanted, else gives the state back; the tensor returned is the caller's. Null without an output (0).
    /// </summary>
    public static Tensor? Finish(this IAutogradPlug plug, NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output)
    {
        if (output != 0 && NodeState.IsWanted(input, weight, bias)) return plug.Attach(state, input, weight, bias, output);
        plug.Return(state);
        return output == 0 ? null : Tensor.UnsafeCreateTensor(output);
    }
}
