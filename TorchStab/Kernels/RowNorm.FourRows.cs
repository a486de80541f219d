using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>Sums four rows at once, so that the columns' sums are read and written once for the four.</summary>
internal static unsafe class RowNormFourRows<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private struct Rows<U> where U : unmanaged
    {
        public U High0, High1, High2, High3, Scale0, Scale1, Scale2, Scale3, Offset0, Offset1, Offset2, Offset3;
    }

    private struct Totals<U> where U : unmanaged
    {
        public U Sum0, Sum1, Sum2, Sum3, Dot0, Dot1, Dot2, Dot3;
    }

    /// <summary>Writes Σ d of the rows <paramref name="row"/> to <paramref name="row"/> + 3, then their Σ d·x̂, to <paramref name="sums"/>.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Sums<Centre>(RowNormJob* job, int row, T* weightSum, double* sums) where Centre : struct, IFlag
    {
        int n = job->Columns, i = 0;
        E* x = (E*)job->Input + ((long)row * n), dy = (E*)job->OutputGradient + ((long)row * n);
        T* weight = (T*)job->Weight;
        var rows = Read<V, Centre>(job, row);
        Totals<V> totals = default;
        for (; i <= n - V.Count; i += V.Count) Step<V, Centre>(x + i, dy + i, weight + i, weightSum + i, n, rows, ref totals);
        var rest = Read<V1<T>, Centre>(job, row);
        Totals<V1<T>> few = default;
        for (; i < n; i++) Step<V1<T>, Centre>(x + i, dy + i, weight + i, weightSum + i, n, rest, ref few);
        sums[0] = Finish(totals.Sum0, few.Sum0);
        sums[1] = Finish(totals.Sum1, few.Sum1);
        sums[2] = Finish(totals.Sum2, few.Sum2);
        sums[3] = Finish(totals.Sum3, few.Sum3);
        sums[4] = Finish(totals.Dot0, few.Dot0);
        sums[5] = Finish(totals.Dot1, few.Dot1);
        sums[6] = Finish(totals.Dot2, few.Dot2);
        sums[7] = Finish(totals.Dot3, few.Dot3);
    }

    private static double Finish(V vectors, V1<T> rest) => double.CreateTruncating(V.Sum(vectors)) + V1<T>.SumWide(rest);

    private static Rows<U> Read<U, Centre>(RowNormJob* job, int row)
        where U : unmanaged, IVector<U, T>
        where Centre : struct, IFlag
    {
        Rows<U> rows = default;
        ReadRow<U, Centre>(job, row, out rows.High0, out rows.Scale0, out rows.Offset0);
        ReadRow<U, Centre>(job, row + 1, out rows.High1, out rows.Scale1, out rows.Offset1);
        ReadRow<U, Centre>(job, row + 2, out rows.High2, out rows.Scale2, out rows.Offset2);
        ReadRow<U, Centre>(job, row + 3, out rows.High3, out rows.Scale3, out rows.Offset3);
        return rows;
    }

    private static void ReadRow<U, Centre>(RowNormJob* job, int row, out U high, out U scale, out U offset)
        where U : unmanaged, IVector<U, T>
        where Centre : struct, IFlag
    {
        var (h, s, o) = RowNorm<V, T, E>.Split(Centre.IsSet ? job->Mean[row] : 0, job->InverseDeviation[row]);
        (high, scale, offset) = (U.Create(h), U.Create(s), U.Create(o));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<U, Centre>(E* x, E* dy, T* weight, T* weightSum, int n, in Rows<U> rows, ref Totals<U> totals)
        where U : unmanaged, IVector<U, T>
        where Centre : struct, IFlag
    {
        U g = U.Load(weight);
        var (p0, d0) = Row(x, dy, rows.High0, rows.Scale0, rows.Offset0, g, ref totals.Sum0, ref totals.Dot0);
        var (p1, d1) = Row(x + n, dy + n, rows.High1, rows.Scale1, rows.Offset1, g, ref totals.Sum1, ref totals.Dot1);
        var (p2, d2) = Row(x + (2L * n), dy + (2L * n), rows.High2, rows.Scale2, rows.Offset2, g, ref totals.Sum2, ref totals.Dot2);
        var (p3, d3) = Row(x + (3L * n), dy + (3L * n), rows.High3, rows.Scale3, rows.Offset3, g, ref totals.Sum3, ref totals.Dot3);
        (U.Load(weightSum) + (p0 + p1 + (p2 + p3))).Store(weightSum);
        if (Centre.IsSet) (U.Load(weightSum + n) + (d0 + d1 + (d2 + d3))).Store(weightSum + n); // RMSNorm has no bias
    }

    // Returns dy·x̂ and dy of one row, and adds to the row's Σ d and Σ d·x̂.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (U Product, U Gradient) Row<U>(E* x, E* dy, U high, U scale, U offset, U weight, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
    {
        U normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - high, scale, offset), gradient = Lane.Load<U, T, E>(dy), d = gradient * weight;
        sum += d;
        dot = U.MultiplyAdd(d, normalized, dot);
        return (gradient * normalized, gradient);
    }
}
