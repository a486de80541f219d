using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Copies gradients into a bucket and back by a kernel, because a tensor operation for each small gradient costs more than the copy itself.
/// </summary>
internal static unsafe class BucketLaunch
{
    /// <summary>
    /// Copies a gradient to the bucket's elements [start, start + count) and returns whether it is finite; null, without a copy, if there is no kernel.
    /// </summary>
    public static bool? TryGather(in TensorView gradient, in TensorView bucket, long start, long count) =>
        KernelSelection.TakesBucket(gradient, bucket, count) ? Of(gradient.Dtype).Gather(gradient.Data, TensorMemory.Part(bucket, start), count) : null;

    /// <summary>Copies the bucket's elements [start, start + count) to a gradient; false, without a copy, if there is no kernel.</summary>
    public static bool TryScatter(in TensorView bucket, in TensorView gradient, long start, long count)
    {
        if (!KernelSelection.TakesBucket(gradient, bucket, count)) return false;
        Of(gradient.Dtype).Scatter(TensorMemory.Part(bucket, start), gradient.Data, count);
        TensorMemory.MarkWritten(gradient.Handle);
        return true;
    }

    /// <summary>Whether the gradient is a view of the bucket's elements [start, start + count).</summary>
    public static bool IsViewOf(in TensorView gradient, in TensorView bucket, long start, long count) => gradient.Dense && bucket.Dense
        && gradient.Dtype == bucket.Dtype && gradient.Count == count && gradient.Data == TensorMemory.Part(bucket, start);

    /// <summary>Whether the bucket's elements [start, start + count) are finite; null if there is no kernel.</summary>
    public static bool? TryIsFinite(in TensorView bucket, long start, long count) =>
        KernelSelection.TakesBucket(bucket, bucket, bucket.Count) ? Of(bucket.Dtype).IsFinite(TensorMemory.Part(bucket, start), count) : null;

    /// <summary>Whether all elements of a tensor are finite; null if there is no kernel.</summary>
    public static bool? TryIsFinite(Tensor tensor)
    {
        if (!KernelSelection.Takes(tensor)) return null;
        var view = TensorView.Of(tensor);
        bool finite = Of(view.Dtype).IsFinite(view.Data, view.Count);
        GC.KeepAlive(tensor);
        return finite;
    }

    private static ref readonly BucketKernel.Family Of(ScalarType dtype) =>
        ref Instances<BucketKernel.Family>.Of(TensorMemory.ElementOf(dtype), (int)KernelSelection.Width);
}
