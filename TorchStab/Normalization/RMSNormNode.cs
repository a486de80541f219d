using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;
using Launch = TorchStab.Dispatch.RowNormLaunch<TorchStab.Kernels.RMSNormKernel.Forward, TorchStab.Kernels.RMSNormKernel.Backward>;

namespace TorchStab.Normalization;

/// <summary>Root-mean-square normalization by kernel, and its place in the autograd graph.</summary>
internal sealed class RMSNormNode : NormOp
{
    private static readonly RMSNormNode Op = new();

    /// <summary>The output, recorded where gradients are wanted; null where the values are too large or too small for a kernel. The arguments have passed <see cref="KernelSelection.TakesRows"/>.</summary>
    public static Tensor? Apply(Tensor input, long[] normalized_shape, Tensor? weight, double eps) =>
        RowNormNode.Apply<RMSNormKernel.Forward, RMSNormKernel.Backward>(Op, input, normalized_shape, weight, null, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        Launch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        long[] dims = NormalizedShape.Dims(state.NormalizedShape!);
        long[] shape = [.. Enumerable.Repeat(1L, (int)input.dim() - dims.Length), .. state.NormalizedShape!];
        var moments = Moments.AboutZero(input.to(Moments.Accumulator(input)), dims, state.Epsilon);
        var rstd = moments.InverseDeviation;
        var standardized = moments.Centred * rstd;
        return NormGradient.Of(state, outputGradient, standardized, input, weight, shape, d => NormGradient.ThroughStatistics(d, standardized, rstd, dims, centred: false));
    }
}
