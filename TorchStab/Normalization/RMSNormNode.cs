using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;
using Launch = TorchStab.Dispatch.RowNormLaunch<TorchStab.Kernels.RMSNormKernel.Forward, TorchStab.Kernels.RMSNormKernel.Backward>;

namespace TorchStab.Normalization;

/// <summary>Root-mean-square normalization by kernel, and its place in the autograd graph.</summary>
internal sealed class RMSNormNode : NormOp
{
    private static readonly RMSNormNode Op = new();

    /// <summary>The output; recorded where gradients are wanted. The arguments have passed <see cref="KernelSelection.TakesRows"/>.</summary>
    public static Tensor Apply(Tensor input, long[] normalized_shape, Tensor? weight, double eps) =>
        RowNormNode.Apply<RMSNormKernel.Forward, RMSNormKernel.Backward>(Op, input, normalized_shape, weight, null, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        Launch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override Tensor Recompute(NodeState state, Tensor input, Tensor? weight, Tensor? bias) =>
        RMSNormFunctional.Normalize(input, state.NormalizedShape!, weight, state.Epsilon).output;

    /// <inheritdoc/>
    public override long[] AffineShape(NodeState state) => state.NormalizedShape!;
}
