using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// A sum over ranks that share memory. <see cref="Send"/> writes the elements that other ranks add; <see cref="Add"/> adds this rank's share of the elements
/// and writes the sums for the other ranks. Each reads this rank's elements in one pass.
/// </summary>
/// <remarks>
/// Memory that other ranks read is written with non-temporal stores. Those ranks have just read its cache lines, and a normal store would fetch each line
/// back first, which takes up to five times as long if the cores share no cache. Shared memory is aligned to 64 bytes. 0·x is 0 for every finite x and NaN
/// for any other x, so the sum of 0·x shows whether all are finite, and it cannot overflow.
/// </remarks>
internal static unsafe partial class SharedSumKernel
{
    /// <summary>Instances exist for float32 and float64, whose elements need no conversion.</summary>
    public readonly struct Family : IFamily<Family>
    {
        public delegate*<void*, void*, long, bool> Send { get; private init; }

        public delegate*<void**, int, int, void*, long, bool> Add { get; private init; }

        static Family IFamily<Family>.Of<V, T, E>() => new() { Send = &SharedSumKernel.Send<V, T>, Add = &SharedSumKernel.Add<V, T> };
    }

    /// <summary>Copies the elements to shared memory, and returns whether all are finite.</summary>
    [MethodImpl(Jit.Loop)]
    public static bool Send<V, T>(void* elements, void* shared, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* from = (T*)elements, to = (T*)shared;
        V zero = V.Zero, bad = zero;
        long i = 0;
        for (; i <= count - (4 * V.Count); i += 4 * V.Count)
        {
            V x0 = V.Load(from + i), x1 = V.Load(from + i + V.Count), x2 = V.Load(from + i + (2 * V.Count)), x3 = V.Load(from + i + (3 * V.Count));
            Stream<V, T>(x0, x1, x2, x3, to + i);
            bad = V.MultiplyAdd(x0, zero, V.MultiplyAdd(x1, zero, V.MultiplyAdd(x2, zero, V.MultiplyAdd(x3, zero, bad))));
        }
        T rest = T.Zero;
        for (; i < count; i++)
        {
            to[i] = from[i];
            rest += from[i] * T.Zero;
        }
        Memory.Fence();
        return V.Sum(bad) + rest == T.Zero;
    }

    /// <summary>
    /// Adds the ranks' elements in the order of ranks, and writes the sums over this rank's elements and to shared memory. Returns whether all of this rank's
    /// elements were finite.
    /// </summary>
    /// <param name="terms">Each rank's elements.</param>
    /// <param name="ranks">The number of ranks.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="shared">The memory from which other ranks read the sums.</param>
    /// <param name="count">The number of elements.</param>
    [MethodImpl(Jit.Loop)]
    public static bool Add<V, T>(void** terms, int ranks, int rank, void* shared, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* mine = (T*)terms[rank], to = (T*)shared;
        bool finite = BucketKernel.IsFinite<V, T, T>(mine, count);
        long i = 0;
        for (; i <= count - (4 * V.Count); i += 4 * V.Count)
        {
            T* term = (T*)terms[0] + i;
            V a0 = V.Load(term), a1 = V.Load(term + V.Count), a2 = V.Load(term + (2 * V.Count)), a3 = V.Load(term + (3 * V.Count));
            for (int k = 1; k < ranks; k++)
            {
                term = (T*)terms[k] + i;
                (a0, a1) = (a0 + V.Load(term), a1 + V.Load(term + V.Count));
                (a2, a3) = (a2 + V.Load(term + (2 * V.Count)), a3 + V.Load(term + (3 * V.Count)));
            }
            Store<V, T>(a0, a1, a2, a3, mine + i);
            Stream<V, T>(a0, a1, a2, a3, to + i);
        }
        for (; i < count; i++)
        {
            T sum = ((T*)terms[0])[i];
            for (int k = 1; k < ranks; k++) sum += ((T*)terms[k])[i];
            mine[i] = to[i] = sum;
        }
        Memory.Fence();
        return finite;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V, T>(V x0, V x1, V x2, V x3, T* target) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        x0.Store(target);
        x1.Store(target + V.Count);
        x2.Store(target + (2 * V.Count));
        x3.Store(target + (3 * V.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Stream<V, T>(V x0, V x1, V x2, V x3, T* target) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        x0.StoreNonTemporal(target);
        x1.StoreNonTemporal(target + V.Count);
        x2.StoreNonTemporal(target + (2 * V.Count));
        x3.StoreNonTemporal(target + (3 * V.Count));
    }
}
