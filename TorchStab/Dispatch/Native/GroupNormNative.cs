namespace TorchStab.Dispatch;

/// <summary>GroupNorm and InstanceNorm in libtorch's fused operations.</summary>
internal static unsafe class GroupNormNative
{
    /// <summary>Normalizes each sample and group.</summary>
    /// <param name="state">The call.</param>
    /// <param name="channelsLast">Whether the output of a channels_last input is channels_last; otherwise it is contiguous.</param>
    /// <returns>The output's handle.</returns>
    public static nint Forward(NodeState state, bool channelsLast)
    {
        state.IsNative = true;
        var inputs = state.Inputs;
        nint contiguous = LibTorch.Contiguous(inputs.Input); // on a GPU the operation takes no other
        try
        {
            var call = new NativeCall();
            call.Add(contiguous);
            call.AddOptional(inputs.Weight);
            call.AddOptional(inputs.Bias);
            AddSizes(ref call, state);
            call.Add(state.Epsilon);
            call.Run("aten::native_group_norm\0"u8);
            (state.Kept.Mean, state.Kept.Rate) = (call.Take(1, state.IsWanted), call.Take(2, state.IsWanted));
            return NativeLayout.Suggested(call.Take(0), channelsLast ? inputs.Input : contiguous);
        }
        finally
        {
            LibTorch.Dispose(contiguous);
        }
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        nint upstream = LibTorch.Contiguous(outputGradient), input = LibTorch.Contiguous(saved.Input);
        try
        {
            var call = new NativeCall();
            call.Add(upstream);
            call.Add(input);
            call.Add(state.Kept.Mean);
            call.Add(state.Kept.Rate);
            call.AddOptional(saved.Weight);
            AddSizes(ref call, state);
            call.Add(state.InputWanted, state.WeightWanted, state.BiasWanted);
            call.Run("aten::native_group_norm_backward\0"u8);
            gradients = call.TakeGradients(state);
        }
        finally
        {
            LibTorch.Dispose(upstream);
            LibTorch.Dispose(input);
        }
    }

    private static void AddSizes(ref NativeCall call, NodeState state)
    {
        call.Add((long)state.Outer);
        call.Add((long)state.Middle);
        call.Add((long)state.Inner);
        call.Add((long)state.Groups);
    }
}
