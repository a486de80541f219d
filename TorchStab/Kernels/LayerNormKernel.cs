using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Layer normalization of the rows of a matrix: y = (x − mean) / √(var + eps) · weight + bias, var biased.
/// <para>Forward, a row at a time: one reading pass for shifted sums (<see cref="Statistics{V, T, E}"/>), one that reads the row again from
/// the first cache, writes the output and prefetches the next row. Memory is read once and written once; outputs that no cache
/// holds are stored past it, which saves reading their lines first.</para>
/// <para>Backward (<see cref="RowNormBackward{V, T, E}"/>): a pass over x and dy for the row's two sums and the columns' sums, a second from
/// cache for dx, which is stored as the output is. The normalized input is recomputed from x and the saved statistics: saving it would cost a
/// write and more memory.</para>
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
