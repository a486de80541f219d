using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Layer normalization over the channels of contiguous (samples, channels, positions): y = (x − mean) / √(var + eps) · weight + bias, with mean and biased
/// variance of each position, and weight and bias of each channel. channels_last tensors are rows of channels: <see cref="RowNormKernel{Centre}"/>.
/// <para>A position's channels are far apart in memory, so a tile of positions of one sample is processed at once: a matrix with one row per channel, whose
/// columns are summed and scaled in whole vectors. Statistics and coefficients are tables with one entry per column. A tile stays in the second-level cache
/// between its passes.</para>
/// <para>Forward: one pass for shifted sums, one that writes the output. Backward: one pass for the sums of each position and of each channel, one that writes
/// dx. Only x and the statistics are saved. The sums of channels are kept for each block of tiles, and added in the order of blocks.</para>
/// </summary>
internal readonly unsafe struct LayerNorm2dKernel : IFamily<LayerNorm2dKernel>
{
    /// <summary>Items: tiles of all samples.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Forward { get; private init; }

    /// <summary>Items: blocks of <see cref="ChannelNormJob.BlockRows"/> tiles.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Backward { get; private init; }

    /// <summary>Items: groups of <see cref="ChannelNormJob.MergeWidth"/> channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Merge { get; private init; }

    static LayerNorm2dKernel IFamily<LayerNorm2dKernel>.Of<V, T, E>() => new()
    {
        Forward = &PositionTiles<V, T, E>.Forward,
        Backward = &PositionTilesBackward<V, T, E>.Run,
        Merge = &PositionTilesBackward<V, T, E>.Merge,
    };
}

/// <summary>A tile: some positions of one sample. The division into tiles depends only on the sizes.</summary>
internal readonly struct PositionTile
{
    /// <summary>The most columns: the tables of a tile are on the stack and in the first-level cache.</summary>
    public const int MostColumns = 512;

    // The bytes of x in a tile, which share the second-level cache with y, or with dy and dx. Narrow tiles waste cache lines and memory pages.
    private const int Bytes = 256 * 1024, LeastColumns = 64;

    public PositionTile(int tile, int channels, int positions, int elementSize)
    {
        int width = Width(channels, elementSize), perSample = (positions + width - 1) / width;
        (Sample, Begin) = (tile / perSample, tile % perSample * width);
        Columns = Math.Min(width, positions - Begin);
    }

    public int Sample { get; }

    public int Begin { get; }

    public int Columns { get; }

    /// <summary>The number of tiles of a sample.</summary>
    public static int Count(int channels, int positions, int elementSize)
    {
        int width = Width(channels, elementSize);
        return (positions + width - 1) / width;
    }

    // A multiple of LeastColumns, so that tiles consist of whole cache lines.
    private static int Width(int channels, int elementSize) =>
        Math.Clamp(Bytes / elementSize / channels / LeastColumns * LeastColumns, LeastColumns, MostColumns);
}

/// <summary>The forward pass over tiles of positions.</summary>
internal static unsafe class PositionTiles<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    // The channels whose mean is the shift of the sums.
    private const int ShiftRows = 16;

    public static void Forward(ChannelNormJob* job, int first, int last)
    {
        T* memory = stackalloc T[3 * PositionTile.MostColumns];
        ColumnTables<T> tables = new(memory, PositionTile.MostColumns);
        bool stream = job->Stream && Lane.CanStream<E>(job->Output, job->Positions);
        for (int item = first; item < last; item++)
        {
            PositionTile tile = new(item, job->Channels, job->Positions, sizeof(E));
            Measure(job, tile, tables);
            if (stream) Normalize<Yes>(job, tile, tables);
            else Normalize<No>(job, tile, tables);
        }
        if (stream) Memory.Fence();
    }

    /// <summary>The index of the tile's first element.</summary>
    public static long At(ChannelNormJob* job, in PositionTile tile) => ((long)tile.Sample * job->Channels * job->Positions) + tile.Begin;

    /// <summary>The index of the tile's first position among those of all samples.</summary>
    public static long Position(ChannelNormJob* job, in PositionTile tile) => ((long)tile.Sample * job->Positions) + tile.Begin;

    /// <summary>Fills the tables High, Scale and Offset of x̂ = (x − High)·Scale + Offset from the statistics.</summary>
    public static void Fill(ChannelNormJob* job, in PositionTile tile, ColumnTables<T> tables)
    {
        long position = Position(job, tile);
        for (int j = 0; j < tile.Columns; j++)
            (tables.High[j], tables.Scale[j], tables.Offset[j]) = RowNorm<V, T, E>.Split(job->Mean[position + j], job->InverseDeviation[position + j]);
    }

    // Measures the positions, stores their statistics and fills the tables. Sums are about a shift that is near the mean. If that is not near enough for some
    // position (an outlier was among the shift's channels), the tile is summed again about the means. A position for which even that is not accurate is summed
    // in double.
    private static void Measure(ChannelNormJob* job, in PositionTile tile, ColumnTables<T> tables)
    {
        int width = tile.Columns, rows = Math.Min(job->Channels, ShiftRows);
        double* sums = stackalloc double[2 * PositionTile.MostColumns], squares = sums + PositionTile.MostColumns;
        T* shift = tables.High;
        E* x = (E*)job->Input + At(job, tile);
        Columns<V, T, E>.Shift(x, (long)(job->Channels / rows) * job->Positions, rows, width, shift);
        Sum(job, x, width, shift, tables.Scale, tables.Offset, sums, squares);
        if (!Centre(job->Channels, width, shift, sums, squares)) Sum(job, x, width, shift, tables.Scale, tables.Offset, sums, squares);
        long position = Position(job, tile);
        for (int j = 0; j < width; j++)
        {
            double offset = sums[j] / job->Channels, mean = double.CreateTruncating(shift[j]) + offset,
                variance = (squares[j] / job->Channels) - (offset * offset);
            if (!Statistics<V, T, E>.IsAccurate(variance, offset)) (mean, variance) = Centred(job, x + j, mean);
            double square = variance + job->Epsilon;
            if (!Magnitude<T>.Holds(square)) Magnitude<T>.Report(job->Extreme, mean);
            double inverse = 1 / Math.Sqrt(square);
            (shift[j], tables.Scale[j], tables.Offset[j]) = RowNorm<V, T, E>.Split(mean, inverse);
            if (job->Mean != null) (job->Mean[position + j], job->InverseDeviation[position + j]) = (mean, inverse);
        }
    }

    // Σ(x − shift) and Σ(x − shift)² of each column, added in T over runs of rows and then in double.
    private static void Sum(ChannelNormJob* job, E* x, int width, T* shift, T* sum, T* square, double* sums, double* squares)
    {
        new Span<double>(sums, width).Clear();
        new Span<double>(squares, width).Clear();
        new Span<T>(sum, width).Clear();
        new Span<T>(square, width).Clear();
        for (int c = 0; c < job->Channels; c += Columns<V, T, E>.MostRows)
        {
            int rows = Math.Min(Columns<V, T, E>.MostRows, job->Channels - c);
            Columns<V, T, E>.AddMoments(x + ((long)c * job->Positions), job->Positions, rows, width, shift, sum, square);
            Columns<V, T, E>.Flush(sum, sums, width);
            Columns<V, T, E>.Flush(square, squares, width);
        }
    }

    // Whether all sums are accurate. If not, the shifts become the means.
    private static bool Centre(int channels, int width, T* shift, double* sums, double* squares)
    {
        bool accurate = true;
        for (int j = 0; j < width; j++)
        {
            double offset = sums[j] / channels;
            accurate &= Statistics<V, T, E>.IsAccurate((squares[j] / channels) - (offset * offset), offset);
        }
        if (accurate) return true;
        for (int j = 0; j < width; j++) shift[j] = T.CreateTruncating(Statistics<V, T, E>.Centre(double.CreateTruncating(shift[j]) + (sums[j] / channels)));
        return false;
    }

    private static (double Mean, double Variance) Centred(ChannelNormJob* job, E* x, double mean)
    {
        double sum = 0, square = 0;
        mean = Statistics<V, T, E>.Centre(mean);
        for (int c = 0; c < job->Channels; c++, x += job->Positions) Statistics<V, T, E>.AddCentred(x, 1, mean, ref sum, ref square);
        double offset = sum / job->Channels;
        return (mean + offset, Math.Max(0, (square / job->Channels) - (offset * offset)));
    }

    [MethodImpl(Jit.Loop)]
    private static void Normalize<S>(ChannelNormJob* job, in PositionTile tile, ColumnTables<T> tables) where S : struct, IFlag
    {
        int width = tile.Columns, last = width - V.Count;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        E* x = (E*)job->Input + At(job, tile), y = (E*)job->Output + At(job, tile);
        for (int c = 0; c < job->Channels; c++, x += job->Positions, y += job->Positions)
        {
            T weight = T.CreateTruncating(Parameter<T>.Read(job->Weight, c, 1)), bias = T.CreateTruncating(Parameter<T>.Read(job->Bias, c, 0));
            V w = V.Create(weight), b = V.Create(bias);
            int j = 0;
            for (; j <= last; j += V.Count) NormalizeOne<V, S>(x + j, y + j, high + j, scale + j, offset + j, w, b);
            if (j < width && last >= 0) NormalizeOne<V, No>(x + last, y + last, high + last, scale + last, offset + last, w, b);
            else for (; j < width; j++) NormalizeOne<V1<T>, No>(x + j, y + j, high + j, scale + j, offset + j, V1<T>.Create(weight), V1<T>.Create(bias));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NormalizeOne<U, S>(E* x, E* y, T* high, T* scale, T* offset, U weight, U bias)
        where U : unmanaged, IVector<U, T>
        where S : struct, IFlag
    {
        U normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - U.Load(high), U.Load(scale), U.Load(offset));
        Lane.Store<U, T, E, S>(U.MultiplyAdd(normalized, weight, bias), y);
    }
}
