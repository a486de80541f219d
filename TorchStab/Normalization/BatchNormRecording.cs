using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Runs batch normalization by kernel and records it where gradients are wanted.</summary>
internal static class BatchNormRecording<Relu> where Relu : struct, IFlag
{
    /// <returns>The output; null where the values are too large or too small for a kernel. The moments are right all the same.</returns>
    public static Tensor? Train(NormOp op, Tensor input, Tensor? weight, Tensor? bias, double eps, out ChannelMoments moments)
    {
        var plug = AutogradPlug.Current;
        var state = plug.Rent();
        nint output;
        try
        {
            Begin(state, op, input, weight, bias, eps, training: true);
            output = BatchNormLaunch<Relu>.Train(input, weight, bias, state);
            moments = ChannelStatistics.Keep(state);
        }
        catch
        {
            plug.Return(state);
            throw;
        }
        return plug.Finish(state, input, weight, bias, output);
    }

    public static Tensor Evaluate(NormOp op, Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps)
    {
        var plug = AutogradPlug.Current;
        var state = plug.Rent();
        nint output;
        try
        {
            Begin(state, op, input, weight, bias, eps, training: false);
            output = BatchNormLaunch<Relu>.Evaluate(input, mean, variance, weight, bias, state);
        }
        catch
        {
            plug.Return(state);
            throw;
        }
        return plug.Finish(state, input, weight, bias, output)!;
    }

    private static void Begin(NodeState state, NormOp op, Tensor input, Tensor? weight, Tensor? bias, double eps, bool training)
    {
        state.Begin(op, input, weight, bias);
        state.Sizes(input);
        (state.Epsilon, state.Training) = (eps, training);
    }
}
