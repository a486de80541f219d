using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

internal static unsafe class ConstantLaunch
{
    /// <summary>
    /// Zeros a small contiguous tensor that requires no gradient, because the call of libtorch's <c>fill_</c> costs more than the fill. False, without a
    /// write, for any other tensor.
    /// </summary>
    public static bool TryClear(Tensor tensor)
    {
        long bytes = KernelSelection.BytesToClear(tensor);
        if (bytes < 0) return false;
        // 0 has the same bytes in every dtype, so one instance serves all.
        Instances<ConstantKernel.Family>.Of(Element.Float32, (int)KernelSelection.Width).Clear(TensorMemory.Pointer<byte>(tensor), (nuint)bytes);
        TensorMemory.MarkWritten(tensor);
        return true;
    }
}
