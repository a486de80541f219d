using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// An op whose gradient is linear in the output's gradient and depends on nothing else. So its backward pass can be recorded unchanged for second
/// derivatives.
/// </summary>
internal abstract class LinearOp : TensorOp
{
    /// <inheritdoc/>
    public sealed override bool NeedsInput => false;

    /// <inheritdoc/>
    public sealed override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias) => Differentiate(state, outputGradient, input, weight);

    /// <inheritdoc/>
    protected sealed override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight) => (Transpose(state, outputGradient), null, null);

    /// <summary>Computes the input's gradient, recorded if gradients are enabled.</summary>
    protected abstract Tensor Transpose(NodeState state, Tensor outputGradient);
}
