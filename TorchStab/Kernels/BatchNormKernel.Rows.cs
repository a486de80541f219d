using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization of channels_last tensors, and of (N, C): rows of channels. Columns are summed per fixed block of rows, blocks
/// are merged in order, so any number of threads gives the same bits; then every row is written with a table of coefficients.
/// Memory is read twice: a whole channel does not lie together, so no cache holds it between the passes.
/// </summary>
internal static unsafe class BatchNormRows<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>Blocks [first, last): shift, Σ(x − shift), Σ(x − shift)² of each channel into the block's three rows of sums.</summary>
    public static void Measure(ChannelNormJob* job, int first, int last)
    {
        const int Step = BatchNormTile.Columns;
        T* shift = stackalloc T[3 * Step], sum = shift + Step, square = sum + Step;
        int channels = job->Channels;
        for (int block = first; block < last; block++)
        {
            int rows = RowsOf(job, block);
            for (int begin = 0; begin < channels; begin += Step)
            {
                int width = Math.Min(Step, channels - begin);
                E* x = (E*)job->Input + ((long)block * job->BlockRows * channels) + begin;
                double* sums = job->Sums + (3L * block * channels) + begin;
                Columns<V, T, E>.Shift(x, channels, rows, width, shift);
                Take(shift, sums, width, replace: true);
                for (int row = 0; row < rows; row += Columns<V, T, E>.MostRows)
                {
                    new Span<T>(sum, width).Clear();
                    new Span<T>(square, width).Clear();
                    int some = Math.Min(Columns<V, T, E>.MostRows, rows - row);
                    Columns<V, T, E>.AddMoments(x + ((long)row * channels), channels, some, width, shift, sum, square);
                    Take(sum, sums + channels, width, replace: row == 0);
                    Take(square, sums + (2L * channels), width, replace: row == 0);
                }
            }
        }
    }

    /// <summary>Channels [first, last) of <see cref="BatchNormRowsKernel.MergeWidth"/>: statistics from the blocks, and the table of coefficients.</summary>
    public static void Merge(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels, end = Math.Min(last * BatchNormRowsKernel.MergeWidth, channels);
        T* tables = (T*)job->Tables;
        for (int c = first * BatchNormRowsKernel.MergeWidth; c < end; c++)
        {
            if (!job->Given && job->Sums != null) MergeChannel(job, c);
            (tables[c], tables[channels + c], tables[(2 * channels) + c]) = BatchNormTerms<T, E>.Forward(job, c);
        }
    }

    /// <summary>Blocks [first, last) of rows of the output.</summary>
    public static void Normalize<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        int channels = job->Channels;
        T* high = (T*)job->Tables, scale = high + channels, offset = scale + channels;
        for (int block = first; block < last; block++)
        {
            long at = (long)block * job->BlockRows * channels;
            E* x = (E*)job->Input + at, y = (E*)job->Output + at;
            for (int row = RowsOf(job, block); row > 0; row--, x += channels, y += channels)
                Columns<V, T, E>.Normalize<Relu>(x, y, channels, high, scale, offset);
        }
    }

    /// <summary>Blocks [first, last): Σd and Σd·(x − high) of each channel into the block's two rows of sums.</summary>
    public static void Sum<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        const int Step = BatchNormTile.Columns;
        T* sum = stackalloc T[2 * Step], dot = sum + Step;
        int channels = job->Channels;
        for (int block = first; block < last; block++)
        {
            int rows = RowsOf(job, block);
            for (int begin = 0; begin < channels; begin += Step)
            {
                int width = Math.Min(Step, channels - begin);
                long at = ((long)block * job->BlockRows * channels) + begin;
                T* high = (T*)job->Tables + begin, scale = high + channels, offset = scale + channels;
                double* sums = job->Sums + (2L * block * channels) + begin;
                for (int row = 0; row < rows; row += Columns<V, T, E>.MostRows, at += (long)Columns<V, T, E>.MostRows * channels)
                {
                    new Span<T>(sum, width).Clear();
                    new Span<T>(dot, width).Clear();
                    int some = Math.Min(Columns<V, T, E>.MostRows, rows - row);
                    Columns<V, T, E>.AddSums<Relu>((E*)job->Input + at, (E*)job->OutputGradient + at, channels, some, width, high, scale, offset, sum, dot);
                    Take(sum, sums, width, replace: row == 0);
                    Take(dot, sums + channels, width, replace: row == 0);
                }
            }
        }
    }

    /// <summary>Channels [first, last) of the merge width: gradients of weight and bias, and the table of the input's.</summary>
    public static void MergeSums(ChannelNormJob* job, int first, int last)
    {
        int channels = job->Channels, end = Math.Min(last * BatchNormRowsKernel.MergeWidth, channels);
        T* tables = (T*)job->Tables, slopes = tables + (3 * channels);
        for (int c = first * BatchNormRowsKernel.MergeWidth; c < end; c++)
        {
            double sum = 0, dot = 0;
            for (int block = 0; block < job->Blocks && job->Sums != null; block++)
            {
                sum += job->Sums[(2L * block * channels) + c];
                dot += job->Sums[(((2L * block) + 1) * channels) + c];
            }
            dot -= sum * (job->Mean[c] - double.CreateTruncating(tables[c]));
            (slopes[c], slopes[channels + c], slopes[(2 * channels) + c]) = BatchNormTerms<T, E>.Backward(job, c, sum, dot);
        }
    }

    /// <summary>Blocks [first, last) of rows of the input's gradient.</summary>
    public static void Differentiate<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        int channels = job->Channels;
        T* high = (T*)job->Tables, scale = high + channels, offset = scale + channels, a = offset + channels, b = a + channels, c = b + channels;
        for (int block = first; block < last; block++)
        {
            long at = (long)block * job->BlockRows * channels;
            E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at, dx = (E*)job->InputGradient + at;
            for (int row = RowsOf(job, block); row > 0; row--, x += channels, dy += channels, dx += channels)
                Columns<V, T, E>.Differentiate<Relu>(x, dy, dx, channels, high, scale, offset, a, b, c);
        }
    }

    private static int RowsOf(ChannelNormJob* job, int block) => (int)Math.Min(job->BlockRows, job->Rows - ((long)block * job->BlockRows));

    private static void MergeChannel(ChannelNormJob* job, int c)
    {
        RunningMoments moments = default;
        for (int block = 0; block < job->Blocks; block++)
        {
            double* sums = job->Sums + (3L * block * job->Channels) + c;
            moments.Add(RowsOf(job, block), sums[0], sums[job->Channels], sums[2L * job->Channels]);
        }
        var (mean, variance) = moments.IsSound ? (moments.Mean, moments.Variance) : Centred(job, c, moments.Mean);
        BatchNormTerms<T, E>.Set(job, c, mean, variance);
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

    private static void Take(T* from, double* into, int n, bool replace)
    {
        for (int i = 0; i < n; i++) into[i] = double.CreateTruncating(from[i]) + (replace ? 0 : into[i]);
    }
}
