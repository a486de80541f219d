using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization where a plane has few positions: planes of neighbouring channels lie together, so a tile of channels is a matrix
/// with a row for each sample, whose columns are summed and scaled by whole vectors. A plane's own vectors would be tails mostly. A tile
/// stays in the second cache between its passes.
/// </summary>
internal static unsafe class BatchNormTiles<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>Channels of a tile.</summary>
    public static int Width(int positions) => Math.Max(1, BatchNormTile.Columns / positions);

    public static void Forward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        T* tables = stackalloc T[3 * BatchNormTile.Columns];
        T* high = tables, scale = tables + BatchNormTile.Columns, offset = scale + BatchNormTile.Columns;
        int n = job->Positions, most = Width(n);
        long stride = (long)job->Channels * n;
        for (int tile = first; tile < last; tile++)
        {
            int begin = tile * most, channels = Math.Min(most, job->Channels - begin);
            if (!job->Given) Measure(job, begin, channels, high, scale, offset);
            for (int k = 0; k < channels; k++) Expand(BatchNormTerms<T, E>.Forward(job, begin + k), n, high + (k * n), scale + (k * n), offset + (k * n));
            E* x = (E*)job->Input + ((long)begin * n), y = (E*)job->Output + ((long)begin * n);
            for (int sample = 0; sample < job->Samples; sample++, x += stride, y += stride)
                Columns<V, T, E>.Normalize<Relu>(x, y, channels * n, high, scale, offset);
        }
    }

    public static void Backward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        const int Step = BatchNormTile.Columns;
        T* tables = stackalloc T[6 * Step];
        T* high = tables, scale = high + Step, offset = scale + Step, a = offset + Step, b = a + Step, c = b + Step;
        double* sums = stackalloc double[2 * Step];
        int n = job->Positions, most = Width(n);
        long stride = (long)job->Channels * n;
        for (int tile = first; tile < last; tile++)
        {
            int begin = tile * most, channels = Math.Min(most, job->Channels - begin);
            for (int k = 0; k < channels; k++) Expand(BatchNormTerms<T, E>.Forward(job, begin + k), n, high + (k * n), scale + (k * n), offset + (k * n));
            Sum<Relu>(job, begin, channels, high, scale, offset, a, b, sums);
            for (int k = 0; k < channels; k++)
            {
                double lack = job->Mean[begin + k] - double.CreateTruncating(high[k * n]);
                var slope = BatchNormTerms<T, E>.Backward(job, begin + k, sums[k], sums[channels + k] - (sums[k] * lack));
                Expand(new(slope.Scale, slope.Rate, slope.Constant), n, a + (k * n), b + (k * n), c + (k * n));
            }
            if (job->InputGradient == null) continue;
            long at = (long)begin * n;
            E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at, dx = (E*)job->InputGradient + at;
            for (int sample = 0; sample < job->Samples; sample++, x += stride, dy += stride, dx += stride)
                Columns<V, T, E>.Differentiate<Relu>(x, dy, dx, channels * n, high, scale, offset, a, b, c);
        }
    }

    // Sums in T over a block of samples about one shift for each channel, added up in double.
    private static void Measure(ChannelNormJob* job, int begin, int channels, T* shift, T* sum, T* square)
    {
        int n = job->Positions, width = channels * n;
        long stride = (long)job->Channels * n;
        double* totals = stackalloc double[2 * channels], squares = totals + channels;
        new Span<double>(totals, 2 * channels).Clear();
        Shift(job, begin, channels, shift);
        for (int sample = 0; sample < job->Samples; sample += Columns<V, T, E>.MostRows)
        {
            int rows = Math.Min(Columns<V, T, E>.MostRows, job->Samples - sample);
            new Span<T>(sum, width).Clear();
            new Span<T>(square, width).Clear();
            Columns<V, T, E>.AddMoments((E*)job->Input + (sample * stride) + ((long)begin * n), stride, rows, width, shift, sum, square);
            AddPositions(sum, n, channels, totals);
            AddPositions(square, n, channels, squares);
        }
        double count = (double)job->Samples * n;
        for (int k = 0; k < channels; k++)
        {
            double offset = totals[k] / count, mean = double.CreateTruncating(shift[k * n]) + offset, variance = (squares[k] / count) - (offset * offset);
            if (!Statistics<V, T, E>.Suffices(variance, offset)) (mean, variance) = BatchNormPlanes<V, T, E>.Centred(job, begin + k, mean);
            BatchNormTerms<T, E>.Set(job, begin + k, mean, variance);
        }
    }

    // The mean of about as many values as elsewhere, from samples all over the batch.
    private static void Shift(ChannelNormJob* job, int begin, int channels, T* shift)
    {
        const int Values = 64;
        int n = job->Positions, samples = Math.Clamp(Values / n, 2, job->Samples);
        long stride = (long)job->Channels * n;
        Columns<V, T, E>.Shift((E*)job->Input + ((long)begin * n), job->Samples / samples * stride, samples, channels * n, shift);
        double* means = stackalloc double[channels];
        new Span<double>(means, channels).Clear();
        AddPositions(shift, n, channels, means);
        for (int k = 0; k < channels; k++) new Span<T>(shift + (k * n), n).Fill(T.CreateTruncating(means[k] / n));
    }

    // Adds the columns of each channel to its total; four sums, because one would wait for itself.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddPositions(T* columns, int n, int channels, double* totals)
    {
        for (int k = 0; k < channels; k++, columns += n)
        {
            double a = 0, b = 0, c = 0, d = 0;
            int j = 0;
            for (; j <= n - 4; j += 4)
            {
                a += double.CreateTruncating(columns[j]);
                b += double.CreateTruncating(columns[j + 1]);
                c += double.CreateTruncating(columns[j + 2]);
                d += double.CreateTruncating(columns[j + 3]);
            }
            for (; j < n; j++) a += double.CreateTruncating(columns[j]);
            totals[k] += a + b + (c + d);
        }
    }

    private static void Sum<Relu>(ChannelNormJob* job, int begin, int channels, T* high, T* scale, T* offset, T* sum, T* dot, double* sums)
        where Relu : struct, IFlag
    {
        int n = job->Positions, width = channels * n;
        long stride = (long)job->Channels * n;
        new Span<double>(sums, 2 * channels).Clear();
        if (job->Given && job->WeightGradient == null && job->BiasGradient == null) return;
        for (int sample = 0; sample < job->Samples; sample += Columns<V, T, E>.MostRows)
        {
            int rows = Math.Min(Columns<V, T, E>.MostRows, job->Samples - sample);
            long at = (sample * stride) + ((long)begin * n);
            new Span<T>(sum, width).Clear();
            new Span<T>(dot, width).Clear();
            Columns<V, T, E>.AddSums<Relu>((E*)job->Input + at, (E*)job->OutputGradient + at, stride, rows, width, high, scale, offset, sum, dot);
            AddPositions(sum, n, channels, sums);
            AddPositions(dot, n, channels, sums + channels);
        }
    }

    private static void Expand(Affine<T> terms, int n, T* high, T* scale, T* offset)
    {
        new Span<T>(high, n).Fill(terms.High);
        new Span<T>(scale, n).Fill(terms.Scale);
        new Span<T>(offset, n).Fill(terms.Offset);
    }
}

internal static class BatchNormTile
{
    /// <summary>Columns of a tile: with a hundred samples it just fits the second cache. No plane of a tile has more positions.</summary>
    public const int Columns = 1024;
}
