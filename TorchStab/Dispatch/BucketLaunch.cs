using System.Numerics;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Gradients into a bucket and back where a kernel can do it: a tensor operation for each would cost more than copying a small gradient does.
/// </summary>
internal static unsafe class BucketLaunch
{
    private static readonly Family Single = Widest<float, Plain<float>>();
    private static readonly Family Double = Widest<double, Plain<double>>();
    private static readonly Family Half = Widest<float, HalfWidth<float>>();

    private readonly struct Family
    {
        public required delegate*<void*, void*, long, bool> Gather { get; init; }

        public required delegate*<void*, long, bool> IsFinite { get; init; }

        public required delegate*<void*, void*, long, void> Scatter { get; init; }
    }

    /// <summary>Copies a gradient to the bucket's elements [start, start + count); whether it is finite. Null, and nothing done, where there is no kernel.</summary>
    public static bool? TryGather(in TensorView gradient, in TensorView bucket, long start, long count) =>
        KernelSelection.TakesBucket(gradient, bucket, count) ? Of(gradient.Dtype).Gather(gradient.Data, TensorMemory.Part(bucket, start), count) : null;

    /// <summary>The way back.</summary>
    public static bool TryScatter(in TensorView bucket, in TensorView gradient, long start, long count)
    {
        if (!KernelSelection.TakesBucket(gradient, bucket, count)) return false;
        Of(gradient.Dtype).Scatter(TensorMemory.Part(bucket, start), gradient.Data, count);
        TensorMemory.MarkWritten(gradient.Handle);
        return true;
    }

    /// <summary>Whether the gradient is those elements of the bucket.</summary>
    public static bool LiesIn(in TensorView gradient, in TensorView bucket, long start, long count) => gradient.Dense && bucket.Dense
        && gradient.Dtype == bucket.Dtype && gradient.Count == count && gradient.Data == TensorMemory.Part(bucket, start);

    /// <summary>Whether those elements of the bucket are finite; null where there is no kernel that tells.</summary>
    public static bool? TryIsFinite(in TensorView bucket, long start, long count) =>
        KernelSelection.TakesBucket(bucket, bucket, bucket.Count) ? Of(bucket.Dtype).IsFinite(TensorMemory.Part(bucket, start), count) : null;

    /// <summary>The same of a tensor.</summary>
    public static bool? TryIsFinite(Tensor tensor)
    {
        if (!KernelSelection.Takes(tensor)) return null;
        var view = TensorView.Of(tensor);
        bool finite = Of(view.Dtype).IsFinite(view.Data, view.Count);
        GC.KeepAlive(tensor);
        return finite;
    }

    private static ref readonly Family Of(ScalarType dtype)
    {
        if (dtype == ScalarType.Float32) return ref Single;
        if (dtype == ScalarType.Float64) return ref Double;
        return ref Half;
    }

    private static Family Widest<T, S>() where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T> => KernelSelection.Width switch
    {
        VectorWidth.V512 => Of<V512<T>, T, S>(),
        VectorWidth.V256 => Of<V256<T>, T, S>(),
        VectorWidth.V128 => Of<V128<T>, T, S>(),
        _ => Of<V1<T>, T, S>(),
    };

    private static Family Of<V, T, S>() where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T> => new()
    {
        Gather = &BucketKernel.Gather<V, T, S>,
        IsFinite = &BucketKernel.IsFinite<V, T, S>,
        Scatter = &BucketKernel.Scatter<V, T, S>,
    };
}
