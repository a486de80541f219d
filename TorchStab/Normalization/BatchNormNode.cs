using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Batch normalization by kernel, and its place in the autograd graph.</summary>
internal class BatchNormNode : NormOp
{
    private static readonly BatchNormNode Op = new();

    /// <summary>Normalizes with the batch's statistics; null where the values are too large or too small for a kernel. The arguments have passed <see cref="KernelSelection.TakesChannels"/>.</summary>
    public static Tensor? Train(Tensor input, Tensor? weight, Tensor? bias, double eps, out ChannelMoments moments) =>
        BatchNormRecording<No>.Train(Op, input, weight, bias, eps, out moments);

    /// <summary>Normalizes with given statistics.</summary>
    public static Tensor Evaluate(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps) =>
        BatchNormRecording<No>.Evaluate(Op, input, mean, variance, weight, bias, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        BatchNormLaunch<No>.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias) =>
        Differentiate(state, outputGradient, input, weight, Standardize(state, input));

    /// <summary>With the statistics of the batch, or those that were given.</summary>
    protected static Moments Standardize(NodeState state, Tensor input)
    {
        var x = input.to(Moments.Accumulator(input));
        if (state.Training) return Moments.Over(x, StatisticsDims(input), state.Epsilon);
        long[] shape = [state.Middle], view = NormGradient.PerChannel(input);
        Tensor mean = ChannelStatistics.Mean(state, shape, input).reshape(view), variance = ChannelStatistics.Variance(state, shape, input).reshape(view);
        return new(x - mean, mean, variance, variance + state.Epsilon, Scale: null);
    }

    /// <summary>The gradients before any activation.</summary>
    protected static (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor gradient, Tensor input, Tensor? weight, Moments moments)
    {
        var rstd = moments.InverseDeviation;
        var standardized = moments.Centred * rstd;
        return NormGradient.Of(state, gradient, standardized, input, weight, NormGradient.PerChannel(input),
            d => state.Training ? NormGradient.ThroughStatistics(d, standardized, rstd, StatisticsDims(input)) : d * rstd);
    }

    private static long[] StatisticsDims(Tensor input) => [.. Enumerable.Range(0, (int)input.dim()).Where(d => d != 1).Select(d => (long)d)];
}
