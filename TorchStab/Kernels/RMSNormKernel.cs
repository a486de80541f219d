using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Root-mean-square normalization of the rows of a matrix: y = x / √(mean(x²) + eps) · weight.
/// <para>The passes of <see cref="LayerNormKernel"/> without centring: forward reads the row once for its squares and once more from cache;
/// backward takes one pass over x and dy for Σ d·x̂ and the columns' sums and one from cache for dx. Squares need no shift: nothing is
/// subtracted from their sum.</para>
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
