using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;
using Launch = TorchStab.Dispatch.RowNormLaunch<TorchStab.Kernels.LayerNormKernel.Forward, TorchStab.Kernels.LayerNormKernel.Backward>;

namespace TorchStab.Normalization;

/// <summary>Layer normalization by kernel, and its place in the autograd graph.</summary>
internal sealed class LayerNormNode : NormOp
{
    private static readonly LayerNormNode Op = new();

    /// <summary>The output; recorded where gradients are wanted. The arguments have passed <see cref="KernelSelection.TakesRows"/>.</summary>
    public static Tensor Apply(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps) =>
        RowNormNode.Apply<LayerNormKernel.Forward, LayerNormKernel.Backward>(Op, input, normalized_shape, weight, bias, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        Launch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override Tensor Recompute(NodeState state, Tensor input, Tensor? weight, Tensor? bias) =>
        LayerNormFunctional.Normalize(input, state.NormalizedShape!, weight, bias, state.Epsilon).output;

    /// <inheritdoc/>
    public override long[] AffineShape(NodeState state) => state.NormalizedShape!;
}
