using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization of channels_last tensors and of (N, C), whose memory consists of rows of channels. Rows are divided into blocks, which depend only on
/// the sizes. Each block has its own sums of columns (<see cref="RowSums{V, T, E}"/>) about one shift, the mean of rows from the whole tensor. The blocks'
/// sums are added in order, so any number of threads gives the same bits. A second pass normalizes each row with a table of coefficients
/// (<see cref="Columns{V, T, E}"/>); it starts with the last block, which is still in the caches. A channel is not contiguous, so memory is read twice. It is
/// written once, with non-temporal stores from 2 MB on.
/// </summary>
internal static unsafe class BatchNormRows<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private const int ShiftRows = 32, MergeWidth = ChannelNormJob.MergeWidth;

    /// <summary>Groups [first, last) of <see cref="MergeWidth"/> channels: computes a value near the mean of each channel.</summary>
    public static void Shift(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels, begin = first * MergeWidth, width = Math.Min(last * MergeWidth, channels) - begin;
        int rows = (int)Math.Min(job->Rows, ShiftRows);
        Columns<V, T, E>.Shift((E*)job->Input + begin, job->Rows / rows * channels, rows, width, Shifts(job) + begin);
    }

    /// <summary>Blocks [first, last): writes Σ(x − shift) and Σ(x − shift)² of each channel to the block's two rows of sums.</summary>
    public static void Measure(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels;
        for (int block = first; block < last; block++)
        {
            E* x = (E*)job->Input + ((long)block * job->BlockRows * channels);
            double* sums = job->Sums + (2L * block * channels);
            new Span<double>(sums, 2 * channels).Clear();
            RowSums<V, T, E>.AddMoments(x, RowsOf(job, block), channels, Shifts(job), sums, sums + channels);
        }
    }

    /// <summary>
    /// Groups [first, last) of <see cref="MergeWidth"/> channels: computes the statistics from the blocks' sums, and the table of coefficients.
    /// </summary>
    public static void Merge(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels, end = Math.Min(last * MergeWidth, channels);
        double* sum = stackalloc double[2 * MergeWidth], square = sum + MergeWidth;
        T* tables = (T*)job->Tables;
        for (int c = first * MergeWidth; c < end; c++)
        {
            int k = c % MergeWidth;
            if (!job->HasStatistics)
            {
                if (k == 0) AddBlocks(job, c, Math.Min(MergeWidth, channels - c), sum, square);
                SetMoments(job, c, sum[k], square[k]);
            }
            (tables[c], tables[channels + c], tables[(2 * channels) + c]) = BatchNormTerms<T>.Forward(job, c);
        }
    }

    /// <summary>Blocks [first, last) of rows: writes the output.</summary>
    public static void Normalize<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->Output, job->Channels);
        if (stream) Normalize<Relu, Yes>(job, first, last);
        else Normalize<Relu, No>(job, first, last);
        if (stream) Memory.Fence();
    }

    /// <summary>Blocks [first, last): writes Σd and Σd·(x − high) of each channel to the block's two rows of sums.</summary>
    public static void Sum<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        int channels = job->Channels;
        for (int block = first; block < last; block++)
        {
            long at = (long)block * job->BlockRows * channels;
            double* sums = job->Sums + (2L * block * channels);
            new Span<double>(sums, 2 * channels).Clear();
            RowSums<V, T, E>.AddGradients<Relu>((E*)job->Input + at, (E*)job->OutputGradient + at, RowsOf(job, block), channels, TablesOf(job),
                sums, sums + channels);
        }
    }

    /// <summary>
    /// Groups [first, last) of <see cref="MergeWidth"/> channels: writes the gradients of weight and bias, and the table of coefficients of the input's
    /// gradient.
    /// </summary>
    public static void MergeSums(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels, end = Math.Min(last * MergeWidth, channels);
        double* sum = stackalloc double[2 * MergeWidth], dot = sum + MergeWidth;
        new Span<double>(sum, 2 * MergeWidth).Clear();
        T* tables = (T*)job->Tables, slopes = tables + (3 * channels);
        for (int c = first * MergeWidth; c < end; c++)
        {
            int k = c % MergeWidth;
            if (k == 0 && job->Sums != null) AddBlocks(job, c, Math.Min(MergeWidth, channels - c), sum, dot);
            double lack = job->Mean[c] - double.CreateTruncating(tables[c]);
            (slopes[c], slopes[channels + c], slopes[(2 * channels) + c]) = BatchNormTerms<T>.Backward(job, c, sum[k], dot[k] - (sum[k] * lack));
        }
    }

    /// <summary>Blocks [first, last) of rows: writes the input's gradient.</summary>
    public static void Differentiate<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->InputGradient, job->Channels);
        if (stream) Differentiate<Relu, Yes>(job, first, last);
        else Differentiate<Relu, No>(job, first, last);
        if (stream) Memory.Fence();
    }

    private static void Normalize<Relu, S>(ChannelNormJob* job, int first, int last)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int channels = job->Channels;
        for (int block = last - 1; block >= first; block--)
        {
            long at = (long)block * job->BlockRows * channels;
            Columns<V, T, E>.Normalize<Relu, S>((E*)job->Input + at, (E*)job->Output + at, channels, RowsOf(job, block), channels, TablesOf(job));
        }
    }

    private static void Differentiate<Relu, S>(ChannelNormJob* job, int first, int last)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int channels = job->Channels;
        for (int block = last - 1; block >= first; block--)
        {
            long at = (long)block * job->BlockRows * channels;
            Columns<V, T, E>.Differentiate<Relu, S>((E*)job->Input + at, (E*)job->OutputGradient + at, (E*)job->InputGradient + at, channels,
                RowsOf(job, block), channels, TablesOf(job));
        }
    }

    private static ColumnTables<T> TablesOf(ChannelNormJob* job) => new((T*)job->Tables, job->Channels);

    // The forward pass does not use this row of the tables otherwise.
    private static T* Shifts(ChannelNormJob* job) => TablesOf(job).A;

    private static int RowsOf(ChannelNormJob* job, int block) => (int)Math.Min(job->BlockRows, job->Rows - ((long)block * job->BlockRows));

    // Adds the two sums of some channels over all blocks, in order.
    [MethodImpl(Jit.Loop)]
    private static void AddBlocks(ChannelNormJob* job, int c, int width, double* sum, double* other)
    {
        new Span<double>(sum, width).Clear();
        new Span<double>(other, width).Clear();
        for (int block = 0; block < job->Blocks; block++)
        {
            double* a = job->Sums + (2L * block * job->Channels) + c, b = a + job->Channels;
            for (int k = 0; k < width; k++)
            {
                sum[k] += a[k];
                other[k] += b[k];
            }
        }
    }

    private static void SetMoments(ChannelNormJob* job, int c, double sum, double square)
    {
        double offset = sum / job->Rows, mean = double.CreateTruncating(Shifts(job)[c]) + offset, variance = (square / job->Rows) - (offset * offset);
        if (!Statistics<V, T, E>.IsAccurate(variance, offset)) (mean, variance) = Centred(job, c, mean);
        BatchNormTerms<T>.Set(job, c, mean, variance);
    }

    private static (double Mean, double Variance) Centred(ChannelNormJob* job, int c, double mean)
    {
        double sum = 0, square = 0;
        mean = Statistics<V, T, E>.Centre(mean);
        for (long row = 0; row < job->Rows; row++)
            Statistics<V, T, E>.AddCentred((E*)job->Input + (row * job->Channels) + c, 1, mean, ref sum, ref square);
        double offset = sum / job->Rows;
        return (mean + offset, Math.Max(0, (square / job->Rows) - (offset * offset)));
    }
}
