using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Computes mean and variance of a whole tensor from two sums, if a kernel supports it.</summary>
internal static unsafe class MomentsLaunch
{
    /// <summary>Computes the mean and the biased variance; false if the caller must use tensor operations.</summary>
    public static bool TryTake(Tensor tensor, out double mean, out double variance)
    {
        (mean, variance) = (double.NaN, double.NaN);
        var sum = KernelSelection.Takes(tensor) ? ReductionKernels.Sum(tensor.dtype) : null;
        if (sum == null) return false;
        long count = LibTorch.Numel(tensor.Handle);
        var pass = ReductionLaunch.Start();
        pass.Add(TensorMemory.Pointer<byte>(tensor), count, sum);
        pass.Add(TensorMemory.Pointer<byte>(tensor), count, ReductionKernels.For(tensor.dtype, 2));
        var sums = pass.Run(max: false);
        GC.KeepAlive(tensor);
        mean = sums[0] / count;
        // The sums are in double: for float32 values the difference keeps eight digits even if the mean is 1e4 deviations from 0.
        variance = Math.Max(0, (sums[1] / count) - (mean * mean));
        return true;
    }
}
