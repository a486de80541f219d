using TorchStab.Dispatch;
using static TorchSharp.torch;
using Launch = TorchStab.Dispatch.GroupNormLaunch<TorchStab.Kernels.InstanceNormKernel.Forward, TorchStab.Kernels.InstanceNormKernel.Backward>;

namespace TorchStab.Normalization;

/// <summary>Instance normalization by kernel, and its place in the autograd graph.</summary>
internal sealed class InstanceNormNode : NormOp
{
    private static readonly InstanceNormNode Op = new();

    /// <summary>
    /// The output (null where the values are too large or too small for a kernel) and, if asked for, mean and biased variance of each (n, c); the arguments have passed <see cref="KernelSelection.TakesGroups"/>.
    /// </summary>
    public static (Tensor? Output, Tensor? Mean, Tensor? Variance) Apply(Tensor input, Tensor? weight, Tensor? bias, double eps, bool statistics)
    {
        var plug = AutogradPlug.Current;
        var state = plug.Rent();
        nint output;
        Tensor? mean = null, variance = null;
        try
        {
            state.Begin(Op, input, weight, bias);
            state.Sizes(input);
            (state.Groups, state.Epsilon) = (state.Middle, eps);
            output = Launch.Forward(input, weight, bias, state);
            if (statistics && output != 0)
            {
                mean = ChannelStatistics.Mean(state, [state.Outer, state.Middle], input);
                variance = ChannelStatistics.Variance(state, [state.Outer, state.Middle], input);
            }
        }
        catch
        {
            plug.Return(state);
            throw;
        }
        return (plug.Finish(state, input, weight, bias, output), mean, variance);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        Launch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        long[] dims = [.. Enumerable.Range(2, (int)input.dim() - 2).Select(d => (long)d)];
        var moments = Moments.Over(input.to(Moments.Accumulator(input)), dims, state.Epsilon);
        var rstd = moments.InverseDeviation;
        var standardized = moments.Centred * rstd;
        return NormGradient.Of(state, outputGradient, standardized, input, weight, NormGradient.PerChannel(input),
            d => NormGradient.ThroughStatistics(d, standardized, rstd, dims));
    }
}
