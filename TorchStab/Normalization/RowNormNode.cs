using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>What the nodes over rows share: run the kernel, and record it where gradients are wanted.</summary>
internal static class RowNormNode
{
    /// <returns>The output; null where the values are too large or too small for a kernel.</returns>
    public static Tensor? Apply<TForward, TBackward>(NormOp op, Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps)
        where TForward : struct, IKernel
        where TBackward : struct, IKernel
    {
        int columns = (int)NormalizedShape.Count(normalized_shape);
        if (!NodeState.IsWanted(input, weight, bias))
        {
            nint made = RowNormLaunch<TForward, TBackward>.Forward(input, weight, bias, columns, eps, null);
            return made == 0 ? null : Tensor.UnsafeCreateTensor(made);
        }
        var plug = AutogradPlug.Current;
        var state = plug.Rent();
        nint output;
        try
        {
            state.Begin(op, input, weight, bias);
            (state.Inner, state.Epsilon, state.NormalizedShape) = (columns, eps, normalized_shape);
            output = RowNormLaunch<TForward, TBackward>.Forward(input, weight, bias, columns, eps, state);
        }
        catch
        {
            plug.Return(state);
            throw;
        }
        if (output != 0) return plug.Attach(state, input, weight, bias, output);
        plug.Return(state);
        return null;
    }
}
