using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Mean and variance of a whole tensor by two sums, where there is a kernel for it.</summary>
internal static unsafe class MomentsDispatch
{
    /// <summary>False where the tensor has to go through tensor operations; the variance is the biased one.</summary>
    public static bool TryTake(Tensor tensor, out double mean, out double variance)
    {
        (mean, variance) = (double.NaN, double.NaN);
        var sum = KernelSelection.Takes(tensor) ? NormKernels.Sum(tensor.dtype) : null;
        if (sum == null) return false;
        long count = LibTorch.Numel(tensor.Handle);
        var pass = NormPass.Start();
        pass.Add(TensorMemory.Pointer<byte>(tensor), count, sum);
        pass.Add(TensorMemory.Pointer<byte>(tensor), count, NormKernels.For(tensor.dtype, 2));
        var sums = pass.Run(max: false);
        GC.KeepAlive(tensor);
        mean = sums[0] / count;
        // Sums in double: of float32 values the difference keeps eight digits even where the mean is 1e4 deviations away.
        variance = Math.Max(0, (sums[1] / count) - (mean * mean));
        return true;
    }
}
