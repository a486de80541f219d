using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Gives an output of a native operation, which the functions own, the memory layout that this library promises.</summary>
internal static unsafe class NativeLayout
{
    /// <summary>channels_last if the input is, otherwise contiguous.</summary>
    /// <returns>The output's handle, or that of a copy.</returns>
    public static nint Suggested(nint output, nint input) => AreContiguous(output, input) ? output : Changed(output, input, MemoryLayout.Suggested);

    /// <summary>The strides that an elementwise operation on the input gives its result.</summary>
    /// <returns>The output's handle, or that of a copy.</returns>
    public static nint Like(nint output, nint input) =>
        AreContiguous(output, input) ? output : Changed(output, input, (y, x) => y.stride().SequenceEqual(x.stride()) ? y : empty_like(x).copy_(y));

    private static bool AreContiguous(nint output, nint input) => LibTorch.IsContiguous(output) != 0 && LibTorch.IsContiguous(input) != 0;

    private static nint Changed(nint output, nint input, Func<Tensor, Tensor, Tensor> change)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        return change(Tensor.UnsafeCreateTensor(output), BackwardPass.Copy(input)!).DetachFromDisposeScope().DecoupleFromNativeHandle();
    }
}
