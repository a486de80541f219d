using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Batch normalization, with or without a ReLU, in libtorch's fused operations.</summary>
internal static unsafe class BatchNormNative
{
    /// <summary>Normalizes with the batch's statistics, and moves the running ones, if there are any, by <paramref name="momentum"/>.</summary>
    /// <returns>The output's handle.</returns>
    public static nint Train(NodeState state, Tensor? mean, Tensor? variance, double momentum, bool relu) =>
        Forward(state, mean?.Handle ?? 0, variance?.Handle ?? 0, momentum, relu);

    /// <summary>Normalizes with given statistics.</summary>
    /// <returns>The output's handle.</returns>
    public static nint Evaluate(NodeState state, Tensor mean, Tensor variance, bool relu)
    {
        if (state.IsWanted) (state.Kept.GivenMean, state.Kept.GivenVariance) = (LibTorch.Clone(mean.Handle), LibTorch.Clone(variance.Handle));
        return Forward(state, mean.Handle, variance.Handle, momentum: 0, relu);
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var passed = state.Kept.Mask == 0 ? null : ThroughReLU(outputGradient, state.Kept.Mask);
        var call = new NativeCall();
        call.Add(passed?.Handle ?? outputGradient);
        call.Add(saved.Input);
        call.AddOptional(saved.Weight);
        call.AddOptional(state.Kept.GivenMean);
        call.AddOptional(state.Kept.GivenVariance);
        call.AddOptional(state.Kept.Mean);
        call.AddOptional(state.Kept.Rate);
        call.Add(state.Training);
        call.Add(state.Epsilon);
        call.Add(state.InputWanted, state.WeightWanted, state.BiasWanted);
        call.Run("aten::native_batch_norm_backward\0"u8);
        gradients = call.TakeGradients(state);
    }

    /// <summary>Replaces infinite values in place. NaN remains.</summary>
    public static void ReplaceInfinity(Tensor values, double by)
    {
        var call = new NativeCall();
        call.Add(values.Handle);
        call.AddOptional(double.NaN);
        call.AddOptional(by);
        call.AddOptional(double.NegativeInfinity);
        call.Run("aten::nan_to_num_\0"u8);
        call.Take(0, wanted: false);
        GC.KeepAlive(values);
    }

    private static nint Forward(NodeState state, nint mean, nint variance, double momentum, bool relu)
    {
        state.IsNative = true;
        var inputs = state.Inputs;
        var call = new NativeCall();
        call.Add(inputs.Input);
        call.AddOptional(inputs.Weight);
        call.AddOptional(inputs.Bias);
        call.AddOptional(mean);
        call.AddOptional(variance);
        call.Add(state.Training);
        call.Add(momentum);
        call.Add(state.Epsilon);
        call.Run("aten::native_batch_norm\0"u8);
        (state.Kept.Mean, state.Kept.Rate) = (call.Take(1, state.IsWanted), call.Take(2, state.IsWanted));
        nint output = NativeLayout.Suggested(call.Take(0), inputs.Input);
        if (relu) Rectify(state, output);
        return output;
    }

    private static Tensor ThroughReLU(nint gradient, nint mask)
    {
        using var scope = NewDisposeScope();
        return BackwardPass.Copy(gradient)!.masked_fill(BackwardPass.Copy(mask)!, 0).MoveToOuterDisposeScope();
    }

    // The mask is kept instead of the output, which the caller may change in place. NaN is not masked.
    private static void Rectify(NodeState state, nint output)
    {
        var relu = new NativeCall();
        relu.Add(output);
        relu.Run("aten::relu_\0"u8);
        relu.Take(0, wanted: false);
        if (!state.IsWanted) return;
        var mask = new NativeCall();
        mask.Add(output);
        mask.Run("aten::logical_not\0"u8);
        state.Kept.Mask = mask.Take(0);
    }
}
