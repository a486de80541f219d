using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

internal static unsafe class ConstantLaunch
{
    /// <summary>
    /// Zeros a tensor outside any graph, if it is small and lies so that its bytes can be cleared: libtorch's <c>fill_</c> takes longer to
    /// set up than to fill it. False, and the tensor untouched, otherwise.
    /// </summary>
    public static bool TryClear(Tensor tensor)
    {
        long bytes = KernelSelection.BytesToClear(tensor);
        if (bytes < 0) return false;
        Instances<ConstantKernel.Family>.Of(Element.Float32, (int)KernelSelection.Width).Clear(TensorMemory.Pointer<byte>(tensor), (nuint)bytes); // zeros are the same bytes in every dtype
        TensorMemory.MarkWritten(tensor);
        return true;
    }
}
