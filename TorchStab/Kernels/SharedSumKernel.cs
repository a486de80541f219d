using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// A sum over ranks that share memory: <see cref="Send"/> writes what others add up, <see cref="Add"/> adds a share of the elements and writes the sums
/// for the others; one pass each over this rank's elements.
/// </summary>
/// <remarks>
/// What others read is written past the caches: they have just read the lines, and taking each back before it is overwritten costs up to five times as
/// much where the cores share no cache. Shared memory is aligned to 64 bytes. 0·x is 0 of every finite x and NaN of the rest, so an accumulator tells
/// whether all are finite, and cannot overflow.
/// </remarks>
internal static unsafe partial class SharedSumKernel
{
    /// <summary>Of float32 and float64, which are stored as they are computed.</summary>
    public readonly struct Family : IFamily<Family>
    {
        public delegate*<void*, void*, long, bool> Send { get; private init; }

        public delegate*<void**, int, int, void*, long, bool> Add { get; private init; }

        static Family IFamily<Family>.Of<V, T, E>() => new() { Send = &SharedSumKernel.Send<V, T>, Add = &SharedSumKernel.Add<V, T> };
    }

    /// <summary>Copies the elements to shared memory; whether all are finite.</summary>
    [MethodImpl(Jit.Loop)]
    public static bool Send<V, T>(void* elements, void* shared, long count) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
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
    /// Adds up the ranks' elements in the ranks' order, in the place of this rank's own and in shared memory; whether all of its own were finite.
    /// </summary>
    /// <param name="terms">Each rank's elements.</param>
    /// <param name="ranks">How many there are.</param>
    /// <param name="rank">Which are this rank's own.</param>
    /// <param name="shared">Where the others find the sums.</param>
    /// <param name="count">Elements.</param>
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
