using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Instance normalization: y = (x − mean) / √(var + eps) · weight + bias with mean and biased variance of each channel of each sample over its
/// positions. It is group normalization with as many groups as channels, and runs in its passes (<see cref="GroupNormKernel"/>): a plane
/// is an item, read once for its sums and once more from cache; the reference is GroupNorm's too.
/// </summary>
internal static unsafe class InstanceNormKernel
{
    /// <summary>Items: planes of a job whose groups are its channels.</summary>
    public readonly struct Forward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => Groups<V, T, E>.Forward((ChannelNormJob*)job, first, last);
    }

    /// <summary>Items: planes; <see cref="GroupNormKernel.Merge"/> comes after it.</summary>
    public readonly struct Backward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => Groups<V, T, E>.Backward((ChannelNormJob*)job, first, last);
    }
}
