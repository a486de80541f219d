using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// The backward pass over rows. With x̂ the normalized input and d = dy · weight: dx = r · (d − mean(d) − x̂ · mean(d · x̂)), without mean(d) for RMSNorm.
/// dweight = Σ dy · x̂ and dbias = Σ dy over rows. These are summed for each block of rows, and the blocks are merged in a fixed order.
/// </summary>
internal static unsafe class RowNormBackward<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private const int RowsAtOnce = 4;

    // Long rows: the columns' sums do not stay in the first-level cache until the next row, so four rows are processed at once. Short rows: four independent
    // chains of additions are faster. For lengths in between, one row at a time keeps x and dy in the first-level cache.
    private const int ShortRow = 128, LongRow = 2048;

    // The smallest number of rows in a run. Columns are summed over runs, runs are added for each block, and blocks are added pairwise, so that no chain of
    // additions is long.
    private const int LeastRunRows = 16;

    /// <summary>Processes blocks [first, last) of rows.</summary>
    public static void Run<Centre>(RowNormJob* job, int first, int last) where Centre : struct, IFlag
    {
        int n = job->Columns, run = RowsOfRun(job);
        for (int block = first; block < last; block++)
        {
            int begin = block * job->BlockRows, end = Math.Min(begin + job->BlockRows, job->Rows);
            T* sums = (T*)job->Partial + (2L * block * n), runSums = (T*)job->Partial + (2L * (job->Blocks + block) * n);
            bool oneRun = job->Partial == null || end - begin <= run;
            if (job->Partial != null) new Span<T>(sums, 2 * n).Clear();
            for (int row = begin; row < end; row += run)
            {
                if (!oneRun) new Span<T>(runSums, 2 * n).Clear();
                Rows<Centre>(job, row, Math.Min(row + run, end), oneRun ? sums : runSums);
                if (!oneRun) RowNormMerge.Add<V, T>(sums, runSums, 2 * n);
            }
        }
        if (job->Stream) Memory.Fence();
    }

    private static void Rows<Centre>(RowNormJob* job, int row, int end, T* weightSum) where Centre : struct, IFlag
    {
        if (TakesFourRows(job)) for (; row <= end - RowsAtOnce; row += RowsAtOnce) FourRows<Centre>(job, row, weightSum);
        for (; row < end; row++) OneRow<Centre>(job, row, weightSum);
    }

    private static bool TakesFourRows(RowNormJob* job) => job->Columns is < ShortRow or >= LongRow && job->Partial != null;

    // About as many additions in a run as runs in a block. Four rows at once are one addition.
    private static int RowsOfRun(RowNormJob* job)
    {
        int root = (int)Math.Sqrt(job->BlockRows), rows = TakesFourRows(job) ? 2 * root : root;
        return Math.Max(LeastRunRows, rows / RowsAtOnce * RowsAtOnce);
    }

    [MethodImpl(Jit.Loop)]
    private static void OneRow<Centre>(RowNormJob* job, int row, T* weightSum) where Centre : struct, IFlag
    {
        int n = job->Columns;
        E* x = (E*)job->Input + ((long)row * n), dy = (E*)job->OutputGradient + ((long)row * n);
        var (high, scale, offset) = RowNorm<V, T, E>.Split(Centre.IsSet ? job->Mean[row] : 0, job->InverseDeviation[row]);
        double sum = 0, dot = 0;
        if (job->Partial != null) Sums<Centre, Yes>(x, dy, (T*)job->Weight, weightSum, n, high, scale, offset, ref sum, ref dot);
        else Sums<Centre, No>(x, dy, (T*)job->Weight, weightSum, n, high, scale, offset, ref sum, ref dot);
        if (job->InputGradient != null) WriteRow<Centre>(job, row, sum, dot);
    }

    [MethodImpl(Jit.Loop)]
    private static void FourRows<Centre>(RowNormJob* job, int row, T* weightSum) where Centre : struct, IFlag
    {
        double* sums = stackalloc double[2 * RowsAtOnce];
        RowNormFourRows<V, T, E>.Sums<Centre>(job, row, weightSum, sums);
        if (job->InputGradient == null) return;
        for (int k = 0; k < RowsAtOnce; k++) WriteRow<Centre>(job, row + k, sums[k], sums[RowsAtOnce + k]);
    }

    [MethodImpl(Jit.Loop)]
    private static void WriteRow<Centre>(RowNormJob* job, int row, double sum, double dot) where Centre : struct, IFlag
    {
        int n = job->Columns;
        long at = (long)row * n;
        double r = job->InverseDeviation[row];
        var (high, scale, offset) = RowNorm<V, T, E>.Split(Centre.IsSet ? job->Mean[row] : 0, r);
        T constant = Centre.IsSet ? T.CreateTruncating(-r * sum / n) : T.Zero;
        T slope = T.CreateTruncating(-r * dot / n);
        if (!Magnitude<T>.HoldsTotal(r * (Math.Abs(sum) + Math.Abs(dot)))) job->ReportExtreme();
        E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at, dx = (E*)job->InputGradient + at;
        if (job->Stream && n % V.Count == 0 && Lane.CanStream<E>(job->InputGradient, n))
            Write<Yes>(x, dy, (T*)job->Weight, dx, n, high, scale, offset, slope, constant);
        else Write<No>(x, dy, (T*)job->Weight, dx, n, high, scale, offset, slope, constant);
    }

    // Computes Σ d and Σ d·x̂ of the row, and adds dy·x̂ and dy to the columns' sums.
    [MethodImpl(Jit.Loop)]
    private static void Sums<Centre, Affine>(E* x, E* dy, T* weight, T* weightSum, int n, T high, T scale, T offset, ref double sum, ref double dot)
        where Centre : struct, IFlag
        where Affine : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(high), r = V.Create(scale), o = V.Create(offset), s0 = V.Zero, s1 = V.Zero, p0 = V.Zero, p1 = V.Zero;
        for (; i <= n - (2 * w); i += 2 * w)
        {
            Step<V, Centre, Affine>(Lane.Load<V, T, E>(x + i), Lane.Load<V, T, E>(dy + i), weight + i, weightSum + i, n, h, r, o, ref s0, ref p0);
            Step<V, Centre, Affine>(
                Lane.Load<V, T, E>(x + i + w), Lane.Load<V, T, E>(dy + i + w), weight + i + w, weightSum + i + w, n, h, r, o, ref s1, ref p1);
        }
        for (; i <= n - w; i += w)
            Step<V, Centre, Affine>(Lane.Load<V, T, E>(x + i), Lane.Load<V, T, E>(dy + i), weight + i, weightSum + i, n, h, r, o, ref s0, ref p0);
        V1<T> s = V1<T>.Zero, p = V1<T>.Zero, h1 = V1<T>.Create(high), r1 = V1<T>.Create(scale), o1 = V1<T>.Create(offset);
        for (; i < n; i++)
            Step<V1<T>, Centre, Affine>(Lane.Load<V1<T>, T, E>(x + i), Lane.Load<V1<T>, T, E>(dy + i), weight + i, weightSum + i, n, h1, r1, o1, ref s, ref p);
        sum = double.CreateTruncating(V.Sum(s0 + s1)) + V1<T>.SumWide(s);
        dot = double.CreateTruncating(V.Sum(p0 + p1)) + V1<T>.SumWide(p);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<U, Centre, Affine>(U x, U dy, T* weight, T* weightSum, int n, U h, U r, U o, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
        where Centre : struct, IFlag
        where Affine : struct, IFlag
    {
        U normalized = U.MultiplyAdd(x - h, r, o), d = dy * U.Load(weight);
        sum += d;
        dot = U.MultiplyAdd(d, normalized, dot);
        if (!Affine.IsSet) return;
        U.MultiplyAdd(dy, normalized, U.Load(weightSum)).Store(weightSum);
        if (Centre.IsSet) (U.Load(weightSum + n) + dy).Store(weightSum + n); // RMSNorm has no bias
    }

    // dx = d·scale + x̂·slope + constant
    [MethodImpl(Jit.Loop)]
    private static void Write<S>(E* x, E* dy, T* weight, E* dx, int n, T high, T scale, T offset, T slope, T constant) where S : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(high), r = V.Create(scale), o = V.Create(offset), k = V.Create(slope), c = V.Create(constant);
        for (; i <= n - (2 * w); i += 2 * w)
        {
            Memory.Prefetch(x + n + i);
            Memory.Prefetch(x + n + i + w);
            Memory.Prefetch(dy + n + i);
            Memory.Prefetch(dy + n + i + w);
            WriteOne<V, S>(x + i, dy + i, weight + i, dx + i, h, r, o, k, c);
            WriteOne<V, S>(x + i + w, dy + i + w, weight + i + w, dx + i + w, h, r, o, k, c);
        }
        for (; i <= n - w; i += w) WriteOne<V, S>(x + i, dy + i, weight + i, dx + i, h, r, o, k, c);
        if (i < n && n >= w) WriteOne<V, No>(x + n - w, dy + n - w, weight + n - w, dx + n - w, h, r, o, k, c);
        else
        {
            V1<T> h1 = V1<T>.Create(high), r1 = V1<T>.Create(scale), o1 = V1<T>.Create(offset), k1 = V1<T>.Create(slope), c1 = V1<T>.Create(constant);
            for (; i < n; i++) WriteOne<V1<T>, No>(x + i, dy + i, weight + i, dx + i, h1, r1, o1, k1, c1);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteOne<U, S>(E* x, E* dy, T* weight, E* dx, U h, U r, U o, U slope, U constant)
        where U : unmanaged, IVector<U, T>
        where S : struct, IFlag
    {
        U normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - h, r, o), d = Lane.Load<U, T, E>(dy) * U.Load(weight);
        Lane.Store<U, T, E, S>(U.MultiplyAdd(d, r, U.MultiplyAdd(normalized, slope, constant)), dx);
    }
}
