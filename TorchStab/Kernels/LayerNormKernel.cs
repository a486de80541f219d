using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Layer normalization of the rows of a matrix: y = (x − mean) / √(var + eps) · weight + bias, var biased.
/// <para>Forward, for one row at a time: the first pass computes shifted sums (<see cref="Statistics{V, T, E}"/>); the second reads the row again from the
/// first-level cache, writes the output and prefetches the next row. Memory is read once and written once. Outputs larger than the caches are stored with
/// non-temporal stores, which do not read the cache lines first.</para>
/// <para>Backward (<see cref="RowNormBackward{V, T, E}"/>): the first pass over x and dy computes the row's two sums and the columns' sums; the second reads
/// them again from cache and writes dx, with non-temporal stores as in the forward pass. The normalized input is recomputed from x and the saved statistics,
/// because saving it would need a write and more memory.</para>
/// </summary>
internal static unsafe class LayerNormKernel
{
    /// <summary>Items: rows of a <see cref="RowNormJob"/>.</summary>
    public readonly struct Forward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => RowNorm<V, T, E>.Forward<Yes>((RowNormJob*)job, first, last);
    }

    /// <summary>Items: blocks of rows of a <see cref="RowNormJob"/>; <see cref="RowNormMerge"/> comes after it.</summary>
    public readonly struct Backward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => RowNormBackward<V, T, E>.Run<Yes>((RowNormJob*)job, first, last);
    }
}
