using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// The job of LayerNorm and RMSNorm: a row-major matrix whose rows are normalized, with a weight and a bias per column. Pointers are to the element type,
/// except statistics (double), and the parameters, their gradients and partial sums (the type of the arithmetic).
/// </summary>
internal unsafe struct RowNormJob
{
    public void* Input, Output, Weight, Bias;
    public void* OutputGradient, InputGradient, WeightGradient, BiasGradient;

    /// <summary>Per row; null in a forward pass that is not recorded.</summary>
    public double* Mean, InverseDeviation;

    /// <summary>
    /// 2 × <see cref="Columns"/> sums per block of rows: those of the weight's gradient, then those of the bias's. After all blocks there is memory of the
    /// same size for the sums of runs. Null if neither gradient is required.
    /// </summary>
    public void* Partial;

    public int Rows, Columns, BlockRows, Blocks;
    public double Epsilon;

    /// <summary>
    /// A kernel sets it to 1 if a row's values are finite but outside the range of <see cref="Magnitude{T}"/>; the output is then invalid. In a backward pass
    /// it sets it if a sum is not finite, because it overflowed or a gradient is not finite.
    /// </summary>
    public int* Extreme;

    /// <summary>Whether output and input gradient are large enough for non-temporal stores (checked against alignment by the kernel).</summary>
    public bool Stream;

    public readonly void ReportExtreme()
    {
        if (Extreme != null) *Extreme = 1;
    }
}

/// <summary>
/// The kernels of normalization over the rows of a matrix: LayerNorm, y = (x − mean) / √(var + eps) · weight + bias with the biased variance, and, if
/// <typeparamref name="Centre"/> is not set, RMSNorm, y = x / √(mean(x²) + eps) · weight.
/// <para>Forward, for one row at a time: the first pass computes shifted sums (<see cref="Statistics{V, T, E}"/>); the second reads the row again from the
/// first-level cache, writes the output and prefetches the next row. Memory is read once and written once. Outputs larger than the caches are stored with
/// non-temporal stores, which do not read the cache lines first. RMSNorm's sums of squares need no shift, because nothing is subtracted from them.</para>
/// <para>Backward (<see cref="RowNormBackward{V, T, E}"/>): the first pass over x and dy computes the row's two sums and the columns' sums; the second reads
/// them again from cache and writes dx, with non-temporal stores as in the forward pass. The normalized input is recomputed from x and the saved statistics,
/// because saving it would need a write and more memory.</para>
/// </summary>
internal readonly unsafe struct RowNormKernel<Centre> : IFamily<RowNormKernel<Centre>> where Centre : struct, IFlag
{
    /// <summary>Items: rows.</summary>
    public delegate*<RowNormJob*, int, int, void> Forward { get; private init; }

    /// <summary>Items: blocks of rows. If the job has partial sums, <see cref="Merge"/> comes after it.</summary>
    public delegate*<RowNormJob*, int, int, void> Backward { get; private init; }

    /// <summary>Items: tiles of <see cref="RowNormMerge.Tile"/> columns.</summary>
    public delegate*<RowNormJob*, int, int, void> Merge { get; private init; }

    static RowNormKernel<Centre> IFamily<RowNormKernel<Centre>>.Of<V, T, E>() => new()
    {
        Forward = &RowNorm<V, T, E>.Forward<Centre>,
        Backward = &RowNormBackward<V, T, E>.Run<Centre>,
        Merge = &RowNormMerge.Run<V, T>,
    };
}

/// <summary>The forward pass over one row: y = (x − mean) · r · weight + bias.</summary>
internal static unsafe class RowNorm<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>
    /// Processes rows [first, last). The mean is subtracted in two parts, its value rounded to T and the rounding error, so that a large mean loses no
    /// precision.
    /// </summary>
    [MethodImpl(Jit.Loop)]
    public static void Forward<Centre>(RowNormJob* job, int first, int last) where Centre : struct, IFlag
    {
        int n = job->Columns;
        bool stream = job->Stream && n % V.Count == 0 && Lane.CanStream<E>(job->Output, n);
        for (int row = first; row < last; row++)
        {
            E* x = (E*)job->Input + ((long)row * n), y = (E*)job->Output + ((long)row * n);
            var (mean, variance) = Centre.IsSet ? Statistics<V, T, E>.Of(x, n) : (0, Statistics<V, T, E>.MeanSquare(x, n));
            double square = variance + job->Epsilon, r = 1 / Math.Sqrt(square);
            if (!Magnitude<T>.Holds(square)) Report<Centre>(job, x, mean);
            if (job->InverseDeviation != null) job->InverseDeviation[row] = r;
            if (Centre.IsSet && job->Mean != null) job->Mean[row] = mean;
            var (high, scale, offset) = Split(mean, r);
            if (stream) Scale<Centre, Yes>(x, y, (T*)job->Weight, (T*)job->Bias, n, high, scale, offset);
            else Scale<Centre, No>(x, y, (T*)job->Weight, (T*)job->Bias, n, high, scale, offset);
        }
        if (stream) Memory.Fence();
    }

    // Rare. If the sum of squares overflowed, it does not show whether the elements are finite. Their sum in double does.
    private static void Report<Centre>(RowNormJob* job, E* x, double mean) where Centre : struct, IFlag
    {
        double square = 0;
        if (!Centre.IsSet) Statistics<V, T, E>.AddCentred(x, job->Columns, 0, ref mean, ref square);
        Magnitude<T>.Report(job->Extreme, mean);
    }

    /// <summary>(x − mean)·r as (x − high)·scale + offset in T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (T High, T Scale, T Offset) Split(double mean, double r)
    {
        T high = T.CreateTruncating(mean);
        return (high, T.CreateTruncating(r), T.CreateTruncating((double.CreateTruncating(high) - mean) * r));
    }

    [MethodImpl(Jit.Loop)]
    private static void Scale<Centre, S>(E* x, E* y, T* weight, T* bias, int n, T high, T scale, T offset)
        where Centre : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(high), r = V.Create(scale), o = V.Create(offset);
        for (; i <= n - (2 * w); i += 2 * w)
        {
            Memory.Prefetch(x + n + i); // the next row
            Memory.Prefetch(x + n + i + w);
            ScaleOne<V, Centre, S>(x + i, y + i, weight + i, bias + i, h, r, o);
            ScaleOne<V, Centre, S>(x + i + w, y + i + w, weight + i + w, bias + i + w, h, r, o);
        }
        for (; i <= n - w; i += w) ScaleOne<V, Centre, S>(x + i, y + i, weight + i, bias + i, h, r, o);
        if (i < n && n >= w) ScaleOne<V, Centre, No>(x + n - w, y + n - w, weight + n - w, bias + n - w, h, r, o);
        else
        {
            V1<T> h1 = V1<T>.Create(high), r1 = V1<T>.Create(scale), o1 = V1<T>.Create(offset);
            for (; i < n; i++) ScaleOne<V1<T>, Centre, No>(x + i, y + i, weight + i, bias + i, h1, r1, o1);
        }
    }

    // RMSNorm has no bias, so the zeros that replace it are not read.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScaleOne<U, Centre, S>(E* x, E* y, T* weight, T* bias, U h, U r, U o)
        where U : unmanaged, IVector<U, T>
        where Centre : struct, IFlag
        where S : struct, IFlag
    {
        U value = Lane.Load<U, T, E>(x), scale = U.Load(weight);
        if (Centre.IsSet) value = U.MultiplyAdd(U.MultiplyAdd(value - h, r, o), scale, U.Load(bias));
        else value = value * r * scale;
        Lane.Store<U, T, E, S>(value, y);
    }
}
