using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Batch normalization by kernel, and its place in the autograd graph.</summary>
internal class BatchNormNode : NormOp
{
    private static readonly BatchNormNode Op = new();

    /// <summary>Normalizes with the batch's statistics; the arguments have passed <see cref="KernelSelection.TakesChannels"/>.</summary>
    public static Tensor Train(Tensor input, Tensor? weight, Tensor? bias, double eps, out ChannelMoments moments) =>
        BatchNormRecording<No>.Train(Op, input, weight, bias, eps, out moments);

    /// <summary>Normalizes with given statistics.</summary>
    public static Tensor Evaluate(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps) =>
        BatchNormRecording<No>.Evaluate(Op, input, mean, variance, weight, bias, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        BatchNormLaunch<No>.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override Tensor Recompute(NodeState state, Tensor input, Tensor? weight, Tensor? bias) => Recompute(state, input, weight, bias, relu: false);

    /// <inheritdoc/>
    public override long[] AffineShape(NodeState state) => [state.Middle];

    /// <summary>In tensor operations, with the statistics of the batch or those that were given.</summary>
    protected static Tensor Recompute(NodeState state, Tensor input, Tensor? weight, Tensor? bias, bool relu)
    {
        if (state.Training) return BatchNormFunctional.NormalizeInTensorOps(input, weight, bias, state.Epsilon, relu).Output;
        long[] shape = [state.Middle];
        Tensor mean = ChannelStatistics.Mean(state, shape, input), variance = ChannelStatistics.Variance(state, shape, input);
        return BatchNormFunctional.EvaluateInTensorOps(input, mean, variance, weight, bias, state.Epsilon, relu);
    }
}
