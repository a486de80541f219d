using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Root-mean-square normalization of the rows of a matrix: y = x / √(mean(x²) + eps) · weight.
/// <para>The passes are those of <see cref="LayerNormKernel"/> without the mean. Forward reads a row for its squares and again from cache. Backward computes
/// Σ d·x̂ and the columns' sums in one pass over x and dy, and dx in a second pass from cache. Sums of squares need no shift, because nothing is subtracted
/// from them.</para>
/// </summary>
internal static unsafe class RMSNormKernel
{
    /// <summary>Items: rows of a <see cref="RowNormJob"/>.</summary>
    public readonly struct Forward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => RowNorm<V, T, E>.Forward<No>((RowNormJob*)job, first, last);
    }

    /// <summary>Items: blocks of rows of a <see cref="RowNormJob"/>; <see cref="RowNormMerge"/> comes after it.</summary>
    public readonly struct Backward : IKernel
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => RowNormBackward<V, T, E>.Run<No>((RowNormJob*)job, first, last);
    }
}
