using TorchStab.Dispatch;
using static TorchSharp.torch;
using Launch = TorchStab.Dispatch.GroupNormLaunch<TorchStab.Kernels.GroupNormKernel.Forward, TorchStab.Kernels.GroupNormKernel.Backward>;

namespace TorchStab.Normalization;

/// <summary>Group normalization by kernel, and its place in the autograd graph.</summary>
internal sealed class GroupNormNode : NormOp
{
    private static readonly GroupNormNode Op = new();

    /// <summary>The output, or null where the values are too large or too small for a kernel; the arguments have passed <see cref="KernelSelection.TakesGroups"/>.</summary>
    public static Tensor? Apply(Tensor input, long num_groups, Tensor? weight, Tensor? bias, double eps)
    {
        var plug = AutogradPlug.Current;
        var state = plug.Rent();
        nint output;
        try
        {
            state.Begin(Op, input, weight, bias);
            state.Sizes(input);
            (state.Groups, state.Epsilon) = ((int)num_groups, eps);
            output = Launch.Forward(input, weight, bias, state);
        }
        catch
        {
            plug.Return(state);
            throw;
        }
        return plug.Finish(state, input, weight, bias, output);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        Launch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        long[] shape = input.shape, grouped = [shape[0], state.Groups, shape[1] / state.Groups, .. shape[2..]];
        long[] dims = [.. Enumerable.Range(2, grouped.Length - 2).Select(d => (long)d)];
        var moments = Moments.Over(input.to(Moments.Accumulator(input)).reshape(grouped), dims, state.Epsilon);
        var rstd = moments.InverseDeviation;
        var standardized = moments.Centred * rstd;
        return NormGradient.Of(state, outputGradient, standardized.reshape(shape), input, weight, NormGradient.PerChannel(input),
            d => NormGradient.ThroughStatistics(d.reshape(grouped), standardized, rstd, dims).reshape(shape));
    }
}
