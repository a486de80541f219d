using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// The backward pass over tiles of positions. With x̂ the normalized input and d = dy · weight: dx = r · (d − mean(d) − x̂ · mean(d · x̂)), with means over the
/// channels of a position; dweight = Σ dy · x̂ and dbias = Σ dy over samples and positions.
/// </summary>
internal static unsafe class PositionTilesBackward<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    // Rows (channels) that are summed in T before the sums are added to double. Four rows are one addition.
    private const int RowsOfRun = 64, RowsAtOnce = 4;

    /// <summary>Blocks [first, last) of tiles. Writes Σ dy and Σ dy·x̂ of each channel to the block's sums.</summary>
    public static void Run(ChannelNormJob* job, int first, int last)
    {
        T* memory = stackalloc T[6 * PositionTile.MostColumns];
        ColumnTables<T> tables = new(memory, PositionTile.MostColumns);
        bool stream = job->Stream && Lane.CanStream<E>(job->InputGradient, job->Positions);
        int tiles = job->Samples * PositionTile.Count(job->Channels, job->Positions, sizeof(E));
        for (int block = first; block < last; block++)
        {
            double* sums = job->Sums + (2L * block * job->Channels);
            new Span<double>(sums, 2 * job->Channels).Clear();
            for (int item = block * job->BlockRows; item < Math.Min((block + 1) * job->BlockRows, tiles); item++)
            {
                PositionTile tile = new(item, job->Channels, job->Positions, sizeof(E));
                PositionTiles<V, T, E>.Fill(job, tile, tables);
                Sum(job, tile, tables, sums);
                if (job->InputGradient == null) continue;
                if (stream) Differentiate<Yes>(job, tile, tables);
                else Differentiate<No>(job, tile, tables);
            }
        }
        if (stream) Memory.Fence();
    }

    /// <summary>Groups [first, last) of <see cref="ChannelNormJob.MergeWidth"/> channels: adds the blocks' sums, in order, and writes the gradients.</summary>
    public static void Merge(ChannelNormJob* job, int first, int last)
    {
        int end = Math.Min(last * ChannelNormJob.MergeWidth, job->Channels);
        for (int c = first * ChannelNormJob.MergeWidth; c < end; c++)
        {
            double sum = 0, dot = 0;
            for (int block = 0; block < job->Blocks; block++)
            {
                double* sums = job->Sums + (2 * (((long)block * job->Channels) + c));
                sum += sums[0];
                dot += sums[1];
            }
            if (!double.IsFinite(sum) || !double.IsFinite(dot)) job->ReportExtreme();
            Parameter<T>.Write(job->BiasGradient, c, sum);
            Parameter<T>.Write(job->WeightGradient, c, dot);
        }
    }

    // Sums over the channels of each position, which become the tables A (the coefficient of x̂) and B (the constant) of dx, and over the positions of each
    // channel.
    private static void Sum(ChannelNormJob* job, in PositionTile tile, ColumnTables<T> tables, double* channelSums)
    {
        int width = tile.Columns;
        double* sums = stackalloc double[2 * PositionTile.MostColumns], dots = sums + PositionTile.MostColumns;
        new Span<double>(sums, 2 * PositionTile.MostColumns).Clear();
        new Span<T>(tables.A, width).Clear();
        new Span<T>(tables.B, width).Clear();
        for (int c = 0; c < job->Channels; c += RowsOfRun)
        {
            AddRows(job, tile, c, Math.Min(c + RowsOfRun, job->Channels), tables, channelSums);
            Columns<V, T, E>.Flush(tables.A, sums, width);
            Columns<V, T, E>.Flush(tables.B, dots, width);
        }
        double* inverse = job->InverseDeviation + PositionTiles<V, T, E>.Position(job, tile);
        for (int j = 0; j < width; j++)
        {
            if (!Magnitude<T>.HoldsTotal(inverse[j] * (Math.Abs(sums[j]) + Math.Abs(dots[j])))) job->ReportExtreme();
            tables.A[j] = T.CreateTruncating(-inverse[j] * dots[j] / job->Channels);
            tables.B[j] = T.CreateTruncating(-inverse[j] * sums[j] / job->Channels);
        }
    }

    private static void AddRows(ChannelNormJob* job, in PositionTile tile, int c, int end, ColumnTables<T> tables, double* channelSums)
    {
        for (; c <= end - RowsAtOnce; c += RowsAtOnce) AddFourRows(job, tile, c, tables, channelSums + (2 * c));
        for (; c < end; c++) AddRow(job, tile, c, tables, channelSums + (2 * c));
    }

    [MethodImpl(Jit.Loop)]
    private static void AddFourRows(ChannelNormJob* job, in PositionTile tile, int c, ColumnTables<T> tables, double* channelSums)
    {
        int n = job->Positions, width = tile.Columns, j = 0;
        long at = PositionTiles<V, T, E>.At(job, tile) + ((long)c * n);
        E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at;
        FourWeights<V> w = new(job, c);
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero, p0 = V.Zero, p1 = V.Zero, p2 = V.Zero, p3 = V.Zero;
        for (; j <= width - V.Count; j += V.Count)
        {
            V h = V.Load(tables.High + j), r = V.Load(tables.Scale + j), o = V.Load(tables.Offset + j);
            V sum = V.Load(tables.A + j), dot = V.Load(tables.B + j);
            V a0 = V.Zero, a1 = V.Zero, b0 = V.Zero, b1 = V.Zero;
            Step(x + j, dy + j, h, r, o, w.W0, ref s0, ref p0, ref a0, ref b0);
            Step(x + j + n, dy + j + n, h, r, o, w.W1, ref s1, ref p1, ref a1, ref b1);
            Step(x + j + (2L * n), dy + j + (2L * n), h, r, o, w.W2, ref s2, ref p2, ref a0, ref b0);
            Step(x + j + (3L * n), dy + j + (3L * n), h, r, o, w.W3, ref s3, ref p3, ref a1, ref b1);
            (sum + (a0 + a1)).Store(tables.A + j);
            (dot + (b0 + b1)).Store(tables.B + j);
        }
        Add(channelSums, s0, p0);
        Add(channelSums + 2, s1, p1);
        Add(channelSums + 4, s2, p2);
        Add(channelSums + 6, s3, p3);
        if (j == width) return;
        for (int k = 0; k < RowsAtOnce; k++)
            AddRest(x + (k * (long)n), dy + (k * (long)n), j, width, T.CreateTruncating(Parameter<T>.Read(job->Weight, c + k, 1)), tables,
                channelSums + (2 * k));
    }

    [MethodImpl(Jit.Loop)]
    private static void AddRow(ChannelNormJob* job, in PositionTile tile, int c, ColumnTables<T> tables, double* channelSums)
    {
        int width = tile.Columns, j = 0;
        long at = PositionTiles<V, T, E>.At(job, tile) + ((long)c * job->Positions);
        E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at;
        T weight = T.CreateTruncating(Parameter<T>.Read(job->Weight, c, 1));
        V w = V.Create(weight), s = V.Zero, p = V.Zero;
        for (; j <= width - V.Count; j += V.Count)
        {
            V sum = V.Load(tables.A + j), dot = V.Load(tables.B + j);
            Step(x + j, dy + j, V.Load(tables.High + j), V.Load(tables.Scale + j), V.Load(tables.Offset + j), w, ref s, ref p, ref sum, ref dot);
            sum.Store(tables.A + j);
            dot.Store(tables.B + j);
        }
        Add(channelSums, s, p);
        AddRest(x, dy, j, width, weight, tables, channelSums);
    }

    // The last columns of one row.
    private static void AddRest(E* x, E* dy, int j, int width, T weight, ColumnTables<T> tables, double* channelSums)
    {
        V1<T> w = V1<T>.Create(weight), s = V1<T>.Zero, p = V1<T>.Zero;
        for (; j < width; j++)
        {
            V1<T> sum = V1<T>.Load(tables.A + j), dot = V1<T>.Load(tables.B + j);
            Step(x + j, dy + j, V1<T>.Load(tables.High + j), V1<T>.Load(tables.Scale + j), V1<T>.Load(tables.Offset + j), w, ref s, ref p, ref sum, ref dot);
            sum.Store(tables.A + j);
            dot.Store(tables.B + j);
        }
        channelSums[0] += V1<T>.SumWide(s);
        channelSums[1] += V1<T>.SumWide(p);
    }

    // Adds dy and dy·x̂ to the channel's sums, d and d·x̂ to those of the positions.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<U>(E* x, E* dy, U h, U r, U o, U weight, ref U channel, ref U channelDot, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
    {
        U normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - h, r, o), gradient = Lane.Load<U, T, E>(dy), d = gradient * weight;
        channel += gradient;
        channelDot = U.MultiplyAdd(gradient, normalized, channelDot);
        sum += d;
        dot = U.MultiplyAdd(d, normalized, dot);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(double* channelSums, V sum, V dot)
    {
        channelSums[0] += double.CreateTruncating(V.Sum(sum));
        channelSums[1] += double.CreateTruncating(V.Sum(dot));
    }

    // dx = d·r + x̂·A + B
    [MethodImpl(Jit.Loop)]
    private static void Differentiate<S>(ChannelNormJob* job, in PositionTile tile, ColumnTables<T> tables) where S : struct, IFlag
    {
        int width = tile.Columns, last = width - V.Count;
        long at = PositionTiles<V, T, E>.At(job, tile);
        E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at, dx = (E*)job->InputGradient + at;
        for (int c = 0; c < job->Channels; c++, x += job->Positions, dy += job->Positions, dx += job->Positions)
        {
            T weight = T.CreateTruncating(Parameter<T>.Read(job->Weight, c, 1));
            V w = V.Create(weight);
            int j = 0;
            for (; j <= last; j += V.Count) DifferentiateOne<V, S>(x + j, dy + j, dx + j, tables + j, w);
            if (j < width && last >= 0) DifferentiateOne<V, No>(x + last, dy + last, dx + last, tables + last, w);
            else for (; j < width; j++) DifferentiateOne<V1<T>, No>(x + j, dy + j, dx + j, tables + j, V1<T>.Create(weight));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void DifferentiateOne<U, S>(E* x, E* dy, E* dx, ColumnTables<T> tables, U weight)
        where U : unmanaged, IVector<U, T>
        where S : struct, IFlag
    {
        U r = U.Load(tables.Scale), normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - U.Load(tables.High), r, U.Load(tables.Offset));
        U d = Lane.Load<U, T, E>(dy) * weight;
        Lane.Store<U, T, E, S>(U.MultiplyAdd(d, r, U.MultiplyAdd(normalized, U.Load(tables.A), U.Load(tables.B))), dx);
    }

    private readonly struct FourWeights<U>(ChannelNormJob* job, int c) where U : unmanaged, IVector<U, T>
    {
        public readonly U W0 = Of(job, c), W1 = Of(job, c + 1), W2 = Of(job, c + 2), W3 = Of(job, c + 3);

        private static U Of(ChannelNormJob* job, int c) => U.Create(T.CreateTruncating(Parameter<T>.Read(job->Weight, c, 1)));
    }
}
