using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// A chunk's share of the norm of all gradients: Σ x², Σ |x|, max |x| or the count of what is not zero, one pass, in double throughout. Widening each float costs
/// nothing beside the memory traffic, keeps fifteen digits, and squares of gradients beyond 1e19 do not overflow as they would in
/// float. Eight accumulators hide the latency of the addition. Chunks are added up by the caller in their order, so the total
/// does not depend on who ran which.
/// </summary>
internal static unsafe partial class GlobalNormKernel
{
    private const int Unroll = 8;

    [MethodImpl(Jit.Loop)]
    public static double SumOfSquares<V, S>(void* x, long first, long count)
        where V : unmanaged, IVector<V, double> where S : IStorage<double>
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        long i = first, end = first + count;
        for (; i <= end - (Unroll * V.Count); i += Unroll * V.Count)
        {
            V x0 = S.Load<V>(x, i), x1 = S.Load<V>(x, i + V.Count), x2 = S.Load<V>(x, i + (2 * V.Count)), x3 = S.Load<V>(x, i + (3 * V.Count));
            a0 = V.MultiplyAdd(x0, x0, a0);
            a1 = V.MultiplyAdd(x1, x1, a1);
            a2 = V.MultiplyAdd(x2, x2, a2);
            a3 = V.MultiplyAdd(x3, x3, a3);
            x0 = S.Load<V>(x, i + (4 * V.Count));
            x1 = S.Load<V>(x, i + (5 * V.Count));
            x2 = S.Load<V>(x, i + (6 * V.Count));
            x3 = S.Load<V>(x, i + (7 * V.Count));
            a4 = V.MultiplyAdd(x0, x0, a4);
            a5 = V.MultiplyAdd(x1, x1, a5);
            a6 = V.MultiplyAdd(x2, x2, a6);
            a7 = V.MultiplyAdd(x3, x3, a7);
        }
        double sum = V.Sum((a0 + a1) + (a2 + a3) + ((a4 + a5) + (a6 + a7)));
        for (; i < end; i++)
        {
            var e = S.Load<V1<double>>(x, i);
            sum += V1<double>.Sum(e * e);
        }
        return sum;
    }

    [MethodImpl(Jit.Loop)]
    public static double SumOfMagnitudes<V, S>(void* x, long first, long count)
        where V : unmanaged, IVector<V, double> where S : IStorage<double>
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0;
        long i = first, end = first + count;
        for (; i <= end - (4 * V.Count); i += 4 * V.Count)
        {
            a0 += V.Abs(S.Load<V>(x, i));
            a1 += V.Abs(S.Load<V>(x, i + V.Count));
            a2 += V.Abs(S.Load<V>(x, i + (2 * V.Count)));
            a3 += V.Abs(S.Load<V>(x, i + (3 * V.Count)));
        }
        double sum = V.Sum((a0 + a1) + (a2 + a3));
        for (; i < end; i++) sum += V1<double>.Sum(V1<double>.Abs(S.Load<V1<double>>(x, i)));
        return sum;
    }

    /// <summary>NaN if any element is NaN; 0 of nothing.</summary>
    [MethodImpl(Jit.Loop)]
    public static double MaxMagnitude<V, S>(void* x, long first, long count)
        where V : unmanaged, IVector<V, double> where S : IStorage<double>
    {
        V m0 = V.Zero, m1 = m0;
        long i = first, end = first + count;
        for (; i <= end - (2 * V.Count); i += 2 * V.Count)
        {
            m0 = V.Max(V.Abs(S.Load<V>(x, i)), m0);
            m1 = V.Max(V.Abs(S.Load<V>(x, i + V.Count)), m1);
        }
        double* lanes = stackalloc double[V.Count];
        V.Max(m0, m1).Store(lanes);
        var max = V1<double>.Zero;
        for (int lane = 0; lane < V.Count; lane++) max = V1<double>.Max(V1<double>.Load(lanes + lane), max);
        for (; i < end; i++) max = V1<double>.Max(V1<double>.Abs(S.Load<V1<double>>(x, i)), max);
        return V1<double>.Sum(max);
    }

    /// <summary>How many elements are not zero; NaN is not.</summary>
    [MethodImpl(Jit.Loop)]
    public static double NonZero<V, S>(void* x, long first, long count)
        where V : unmanaged, IVector<V, double> where S : IStorage<double>
    {
        V least = V.Create(double.Epsilon), one = V.Create(1), z0 = V.Zero, z1 = z0; // only zero is below the least double
        long i = first, end = first + count;
        for (; i <= end - (2 * V.Count); i += 2 * V.Count)
        {
            z0 += V.Select(V.GreaterThan(least, V.Abs(S.Load<V>(x, i))), one, V.Zero);
            z1 += V.Select(V.GreaterThan(least, V.Abs(S.Load<V>(x, i + V.Count))), one, V.Zero);
        }
        double zeros = V.Sum(z0 + z1);
        for (; i < end; i++) zeros += V1<double>.Sum(S.Load<V1<double>>(x, i)) == 0 ? 1 : 0;
        return count - zeros;
    }

    /// <summary>Σ x: no norm, but with Σ x² the mean and the variance.</summary>
    [MethodImpl(Jit.Loop)]
    public static double Sum<V, S>(void* x, long first, long count)
        where V : unmanaged, IVector<V, double> where S : IStorage<double>
    {
        V a0 = V.Zero, a1 = a0, a2 = a0, a3 = a0;
        long i = first, end = first + count;
        for (; i <= end - (4 * V.Count); i += 4 * V.Count)
        {
            a0 += S.Load<V>(x, i);
            a1 += S.Load<V>(x, i + V.Count);
            a2 += S.Load<V>(x, i + (2 * V.Count));
            a3 += S.Load<V>(x, i + (3 * V.Count));
        }
        double sum = V.Sum((a0 + a1) + (a2 + a3));
        for (; i < end; i++) sum += V1<double>.Sum(S.Load<V1<double>>(x, i));
        return sum;
    }
}
