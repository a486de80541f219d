using TorchSharp;

namespace TorchStab.Dispatch;

/// <summary>LayerNorm and RMSNorm in libtorch's fused operations.</summary>
internal static unsafe class RowNormNative
{
    /// <summary>Normalizes rows: LayerNorm if <paramref name="centred"/>, otherwise RMSNorm.</summary>
    /// <returns>The output's handle.</returns>
    public static nint Forward(NodeState state, bool centred)
    {
        state.IsNative = true;
        var inputs = state.Inputs;
        var call = new NativeCall();
        call.Add(inputs.Input);
        call.Add(state.NormalizedShape);
        call.AddOptional(inputs.Weight);
        if (centred)
        {
            call.AddOptional(inputs.Bias);
            call.Add(state.Epsilon);
            call.Run("aten::native_layer_norm\0"u8);
            state.Kept.Mean = call.Take(1, state.IsWanted);
        }
        else
        {
            call.AddOptional(state.Epsilon);
            call.Run("aten::_fused_rms_norm\0"u8);
        }
        state.Kept.Rate = call.Take(centred ? 2 : 1, state.IsWanted);
        return centred ? call.Take(0) : NativeLayout.Like(call.Take(0), inputs.Input);
    }

    /// <summary>Whether libtorch has an operation for the gradients of RMSNorm, which 2.10 has on CUDA only.</summary>
    public static bool HasBackward(bool centred, nint input) => centred || LibTorch.DeviceKind(input) == (int)DeviceType.CUDA;

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, bool centred, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        nint upstream = LibTorch.Contiguous(outputGradient);
        try
        {
            var call = new NativeCall();
            call.Add(upstream);
            call.Add(saved.Input);
            call.Add(state.NormalizedShape);
            if (centred) call.Add(state.Kept.Mean);
            call.Add(state.Kept.Rate);
            call.AddOptional(saved.Weight);
            if (centred)
            {
                call.AddOptional(state.BiasWanted ? saved.Weight : 0); // only the bias's shape and dtype count, and these are the weight's
                call.Add(state.InputWanted, state.WeightWanted, state.BiasWanted);
                call.Run("aten::native_layer_norm_backward\0"u8);
                gradients = call.TakeGradients(state);
            }
            else
            {
                call.Add(state.InputWanted, state.WeightWanted);
                call.Run("aten::_fused_rms_norm_backward\0"u8);
                gradients = new() { Input = call.Take(0, state.InputWanted), Weight = call.Take(1, state.WeightWanted) };
            }
        }
        finally
        {
            LibTorch.Dispose(upstream);
        }
    }
}
