using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Adds the blocks' sums of dweight and dbias. Blocks are merged pairwise, in an order that depends only on their number. Different threads may process
/// different tiles of columns.
/// </summary>
internal static unsafe class RowNormMerge
{
    /// <summary>The number of columns in one item.</summary>
    public const int Tile = 512;

    /// <summary>Items: tiles of columns.</summary>
    public static void Run<V, T>(RowNormJob* job, int first, int last)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int n = job->Columns, begin = first * Tile, end = Math.Min(last * Tile, n);
        T* sums = (T*)job->Partial;
        for (int distance = 1; distance < job->Blocks; distance *= 2)
        {
            for (int block = 0; block + distance < job->Blocks; block += 2 * distance)
            {
                T* into = sums + (2L * block * n), from = sums + (2L * (block + distance) * n);
                Add<V, T>(into + begin, from + begin, end - begin);
                if (job->BiasGradient != null) Add<V, T>(into + n + begin, from + n + begin, end - begin);
            }
        }
        if (!AreFinite(sums, begin, end) || (job->BiasGradient != null && !AreFinite(sums + n, begin, end))) job->ReportExtreme();
        Write(sums, (T*)job->WeightGradient, begin, end);
        Write(sums + n, (T*)job->BiasGradient, begin, end);
    }

    /// <summary>into += from.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Add<V, T>(T* into, T* from, int n)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int i = 0;
        for (; i <= n - V.Count; i += V.Count) (V.Load(into + i) + V.Load(from + i)).Store(into + i);
        for (; i < n; i++) into[i] += from[i];
    }

    private static bool AreFinite<T>(T* sums, int begin, int end) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T none = T.Zero;
        for (int i = begin; i < end; i++) none += sums[i] - sums[i]; // 0 if finite, otherwise NaN
        return none == T.Zero;
    }

    private static void Write<T>(T* sums, T* gradient, int begin, int end) where T : unmanaged
    {
        if (gradient != null) new Span<T>(sums + begin, end - begin).CopyTo(new(gradient + begin, end - begin));
    }
}
