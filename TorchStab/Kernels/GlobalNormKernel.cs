using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// One chunk's part of the norm of all gradients: Σ x², Σ |x|, max |x| or the number of non-zero elements, in one pass and in double. Widening a float costs
/// nothing compared with the memory traffic, keeps fifteen digits, and avoids the overflow of squares beyond 1e19 in float. Eight accumulators hide the
/// latency of the addition. The caller adds the chunks in order, so the total does not depend on which thread computed which chunk.
/// </summary>
internal static unsafe partial class GlobalNormKernel
{
    private const int Unroll = 8;

    /// <summary>The arguments of each method: the elements, the index of the chunk's first element, and the number of elements.</summary>
    public readonly struct Family : IFamily<Family>
    {
        public static bool InDouble => true;

        public delegate*<void*, long, long, double> SumOfSquares { get; private init; }

        public delegate*<void*, long, long, double> SumOfMagnitudes { get; private init; }

        public delegate*<void*, long, long, double> MaxMagnitude { get; private init; }

        public delegate*<void*, long, long, double> NonZero { get; private init; }

        public delegate*<void*, long, long, double> Sum { get; private init; }

        static Family IFamily<Family>.Of<V, T, E>() => new()
        {
            SumOfSquares = &GlobalNormKernel.SumOfSquares<V, T, E>,
            SumOfMagnitudes = &GlobalNormKernel.SumOfMagnitudes<V, T, E>,
            MaxMagnitude = &GlobalNormKernel.MaxMagnitude<V, T, E>,
            NonZero = &GlobalNormKernel.NonZero<V, T, E>,
            Sum = &GlobalNormKernel.Sum<V, T, E>,
        };
    }

    [MethodImpl(Jit.Loop)]
    public static double SumOfSquares<V, T, E>(void* x, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        long i = first, end = first + count;
        for (; i <= end - (Unroll * V.Count); i += Unroll * V.Count)
        {
            V x0 = Lane.Load<V, T, E>(x, i), x1 = Lane.Load<V, T, E>(x, i + V.Count);
            V x2 = Lane.Load<V, T, E>(x, i + (2 * V.Count)), x3 = Lane.Load<V, T, E>(x, i + (3 * V.Count));
            a0 = V.MultiplyAdd(x0, x0, a0);
            a1 = V.MultiplyAdd(x1, x1, a1);
            a2 = V.MultiplyAdd(x2, x2, a2);
            a3 = V.MultiplyAdd(x3, x3, a3);
            x0 = Lane.Load<V, T, E>(x, i + (4 * V.Count));
            x1 = Lane.Load<V, T, E>(x, i + (5 * V.Count));
            x2 = Lane.Load<V, T, E>(x, i + (6 * V.Count));
            x3 = Lane.Load<V, T, E>(x, i + (7 * V.Count));
            a4 = V.MultiplyAdd(x0, x0, a4);
            a5 = V.MultiplyAdd(x1, x1, a5);
            a6 = V.MultiplyAdd(x2, x2, a6);
            a7 = V.MultiplyAdd(x3, x3, a7);
        }
        double sum = V.SumWide((a0 + a1) + (a2 + a3) + ((a4 + a5) + (a6 + a7)));
        for (; i < end; i++)
        {
            var e = Lane.Load<V1<T>, T, E>(x, i);
            sum += V1<T>.SumWide(e * e);
        }
        return sum;
    }

    [MethodImpl(Jit.Loop)]
    public static double SumOfMagnitudes<V, T, E>(void* x, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0;
        long i = first, end = first + count;
        for (; i <= end - (4 * V.Count); i += 4 * V.Count)
        {
            a0 += V.Abs(Lane.Load<V, T, E>(x, i));
            a1 += V.Abs(Lane.Load<V, T, E>(x, i + V.Count));
            a2 += V.Abs(Lane.Load<V, T, E>(x, i + (2 * V.Count)));
            a3 += V.Abs(Lane.Load<V, T, E>(x, i + (3 * V.Count)));
        }
        double sum = V.SumWide((a0 + a1) + (a2 + a3));
        for (; i < end; i++) sum += V1<T>.SumWide(V1<T>.Abs(Lane.Load<V1<T>, T, E>(x, i)));
        return sum;
    }

    /// <summary>The largest |x|; NaN if any element is NaN, 0 if there are no elements.</summary>
    [MethodImpl(Jit.Loop)]
    public static double MaxMagnitude<V, T, E>(void* x, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V m0 = V.Zero, m1 = m0;
        long i = first, end = first + count;
        for (; i <= end - (2 * V.Count); i += 2 * V.Count)
        {
            m0 = V.Max(V.Abs(Lane.Load<V, T, E>(x, i)), m0);
            m1 = V.Max(V.Abs(Lane.Load<V, T, E>(x, i + V.Count)), m1);
        }
        T* lanes = stackalloc T[V.Count];
        V.Max(m0, m1).Store(lanes);
        var max = V1<T>.Zero;
        for (int lane = 0; lane < V.Count; lane++) max = V1<T>.Max(V1<T>.Load(lanes + lane), max);
        for (; i < end; i++) max = V1<T>.Max(V1<T>.Abs(Lane.Load<V1<T>, T, E>(x, i)), max);
        return V1<T>.SumWide(max);
    }

    /// <summary>The number of elements that are not zero. NaN counts as non-zero.</summary>
    [MethodImpl(Jit.Loop)]
    public static double NonZero<V, T, E>(void* x, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V z0 = V.Zero, z1 = z0;
        long i = first, end = first + count;
        for (; i <= end - (2 * V.Count); i += 2 * V.Count)
        {
            z0 += IsZero(V.Abs(Lane.Load<V, T, E>(x, i)));
            z1 += IsZero(V.Abs(Lane.Load<V, T, E>(x, i + V.Count)));
        }
        double zeros = V.SumWide(z0 + z1);
        for (; i < end; i++) zeros += V1<T>.SumWide(Lane.Load<V1<T>, T, E>(x, i)) == 0 ? 1 : 0;
        return count - zeros;

        // 1 for 0, otherwise 0, also for NaN, for which both comparisons are false. No denormal constant: if the processor flushes denormals, it is 0.
        static V IsZero(V magnitude)
        {
            V one = V.Create(T.One);
            return V.Select(V.GreaterThan(magnitude, V.Zero), V.Zero, V.Select(V.GreaterThan(one, magnitude), one, V.Zero));
        }
    }

    /// <summary>Σ x. It is not a norm; together with Σ x² it gives the mean and the variance.</summary>
    [MethodImpl(Jit.Loop)]
    public static double Sum<V, T, E>(void* x, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0;
        long i = first, end = first + count;
        for (; i <= end - (4 * V.Count); i += 4 * V.Count)
        {
            a0 += Lane.Load<V, T, E>(x, i);
            a1 += Lane.Load<V, T, E>(x, i + V.Count);
            a2 += Lane.Load<V, T, E>(x, i + (2 * V.Count));
            a3 += Lane.Load<V, T, E>(x, i + (3 * V.Count));
        }
        double sum = V.SumWide((a0 + a1) + (a2 + a3));
        for (; i < end; i++) sum += V1<T>.SumWide(Lane.Load<V1<T>, T, E>(x, i));
        return sum;
    }
}
