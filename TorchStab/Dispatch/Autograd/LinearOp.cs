using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// An op whose gradient is linear in the output's gradient and depends on nothing else: for derivatives of derivatives its backward pass is
/// recorded as it stands.
/// </summary>
internal abstract class LinearOp : TensorOp
{
    /// <inheritdoc/>
    public sealed override bool NeedsInput => false;

    /// <inheritdoc/>
    public sealed override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias) => Differentiate(state, outputGradient, input, weight);

    /// <inheritdoc/>
    protected sealed override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight) =>
        (Transpose(state, outputGradient), null, null);

    /// <summary>The input's gradient; with a graph where gradients are enabled.</summary>
    protected abstract Tensor Transpose(NodeState state, Tensor outputGradient);
}
