using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>The passes of <see cref="BatchNormRows{V, T, E}"/>. Items are blocks of rows; in Shift, Merge and MergeSums they are groups of channels.</summary>
internal static unsafe class BatchNormRowsKernel
{
    /// <summary>Channels of an item of Shift, Merge and MergeSums.</summary>
    public const int MergeWidth = 64;

    public readonly struct Shift : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Shift((ChannelNormJob*)job, first, last);
    }

    public readonly struct Measure : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Measure((ChannelNormJob*)job, first, last);
    }

    public readonly struct Merge : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Merge((ChannelNormJob*)job, first, last);
    }

    public readonly struct Normalize<Relu> : IKernel where Relu : struct, IFlag
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Normalize<Relu>((ChannelNormJob*)job, first, last);
    }

    public readonly struct Sum<Relu> : IKernel where Relu : struct, IFlag
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Sum<Relu>((ChannelNormJob*)job, first, last);
    }

    public readonly struct MergeSums : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.MergeSums((ChannelNormJob*)job, first, last);
    }

    public readonly struct Differentiate<Relu> : IKernel where Relu : struct, IFlag
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormRows<V, T, E>.Differentiate<Relu>((ChannelNormJob*)job, first, last);
    }
}
