using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Mean and biased variance of contiguous runs, in one read. Sums of (x − shift) and of its square are computed in vectors of T, with at most 128 terms per
/// lane, and these are added in double. The shift is the mean of the first elements, so it is near the true mean and no precision is lost by cancellation. A
/// single element could be an outlier. If the variance is small compared with (mean − shift)², a second pass centres on the mean itself. That is rare; for
/// mean 1e4 and σ 1e-2 the error stays at 1e-7.
/// </summary>
internal static unsafe class Statistics<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private const int Sample = 64;
    private static int LaneTerms => V.Count == 1 ? 8 : 128; // as in Plane

    /// <summary>Below this ratio of the variance to the squared offset, cancellation has cost more than one bit of precision.</summary>
    private const double Guard = 0.5;

    /// <summary>
    /// Whether the variance is accurate, for sums about a shift whose distance from the mean is <paramref name="offset"/>; false for NaN and if squares
    /// overflowed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAccurate(double variance, double offset) => variance >= Guard * offset * offset && variance < double.PositiveInfinity;

    /// <summary>The mean of the first elements, which are scaled before they are added, so that the sum cannot overflow.</summary>
    [MethodImpl(Jit.Loop)]
    public static T Shift(E* x, int n)
    {
        int m = Math.Min(n, Sample), i = 0;
        var scale = T.One / T.CreateTruncating(m);
        var share = V.Create(scale);
        var sum = V.Zero;
        for (; i <= m - V.Count; i += V.Count) sum = V.MultiplyAdd(Lane.Load<V, T, E>(x + i), share, sum);
        T shift = V.Sum(sum);
        for (; i < m; i++) shift += V1<T>.Sum(Lane.Load<V1<T>, T, E>(x + i)) * scale;
        return shift;
    }

    /// <summary>Adds Σ(x − shift) and Σ(x − shift)² of n elements.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Add(E* x, int n, T shift, ref double sum, ref double square)
    {
        int chunk = 4 * LaneTerms * V.Count;
        for (int i = 0; i < n; i += chunk) AddChunk(x + i, Math.Min(chunk, n - i), shift, ref sum, ref square);
    }

    /// <summary>Computes mean and variance of one run.</summary>
    [MethodImpl(Jit.Loop)]
    public static (double Mean, double Variance) Of(E* x, int n)
    {
        T shift = Shift(x, n);
        double sum = 0, square = 0;
        Add(x, n, shift, ref sum, ref square);
        double offset = sum / n, variance = (square / n) - (offset * offset);
        return IsAccurate(variance, offset) ? (double.CreateTruncating(shift) + offset, variance) : Centred(x, n, double.CreateTruncating(shift) + offset);
    }

    /// <summary>Computes the mean of the squares of one run.</summary>
    [MethodImpl(Jit.Loop)]
    public static double MeanSquare(E* x, int n)
    {
        double sum = 0, square = 0;
        Add(x, n, T.Zero, ref sum, ref square);
        return square / n;
    }

    /// <summary>The value on which the second pass centres: the first mean, or 0 if that is not finite, so that the final mean equals Σx/n.</summary>
    public static double Centre(double mean) => double.IsFinite(mean) ? mean : 0;

    /// <summary>Adds Σ(x − mean) and Σ(x − mean)² in double, for an approximate mean.</summary>
    public static void AddCentred(E* x, int n, double mean, ref double sum, ref double square)
    {
        for (int i = 0; i < n; i++)
        {
            double d = V1<T>.SumWide(Lane.Load<V1<T>, T, E>(x + i)) - mean;
            sum += d;
            square += d * d;
        }
    }

    private static (double Mean, double Variance) Centred(E* x, int n, double mean)
    {
        double sum = 0, square = 0;
        mean = Centre(mean);
        AddCentred(x, n, mean, ref sum, ref square);
        double offset = sum / n;
        return (mean + offset, Math.Max(0, (square / n) - (offset * offset)));
    }

    [MethodImpl(Jit.Loop)]
    private static void AddChunk(E* x, int n, T shift, ref double sum, ref double square)
    {
        int w = V.Count, i = 0;
        var c = V.Create(shift);
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero, q0 = V.Zero, q1 = V.Zero, q2 = V.Zero, q3 = V.Zero;
        for (; i <= n - (4 * w); i += 4 * w)
        {
            V a0 = Lane.Load<V, T, E>(x + i) - c, a1 = Lane.Load<V, T, E>(x + i + w) - c;
            V a2 = Lane.Load<V, T, E>(x + i + (2 * w)) - c, a3 = Lane.Load<V, T, E>(x + i + (3 * w)) - c;
            Lane.AddMoments<V, T>(a0, ref s0, ref q0);
            Lane.AddMoments<V, T>(a1, ref s1, ref q1);
            Lane.AddMoments<V, T>(a2, ref s2, ref q2);
            Lane.AddMoments<V, T>(a3, ref s3, ref q3);
        }
        for (; i <= n - w; i += w)
        {
            V a = Lane.Load<V, T, E>(x + i) - c;
            Lane.AddMoments<V, T>(a, ref s0, ref q0);
        }
        if (i < n && n >= w)
        {
            V a = Lane.KeepLast<V, T>(Lane.Load<V, T, E>(x + n - w) - c, n - i);
            Lane.AddMoments<V, T>(a, ref s1, ref q1);
            i = n;
        }
        sum += double.CreateTruncating(V.Sum(s0 + s1 + (s2 + s3)));
        square += double.CreateTruncating(V.Sum(q0 + q1 + (q2 + q3)));
        if (i < n) AddCentred(x + i, n - i, double.CreateTruncating(shift), ref sum, ref square);
    }
}
