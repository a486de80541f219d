using System.Numerics;

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
                var slope = BatchNormTerms<T, E>.Backward(job, begin + k, sums[2 * k], sums[(2 * k) + 1] - (sums[2 * k] * lack));
                Expand(new(slope.Scale, slope.Rate, slope.Constant), n, a + (k * n), b + (k * n), c + (k * n));
            }
            if (job->InputGradient == null) continue;
            long at = (long)begin * n;
            E* x = (E*)job->Input + at, dy = (E*)job->OutputGradient + at, dx = (E*)job->InputGradient + at;
            for (int sample = 0; sample < job->Samples; sample++, x += stride, dy += stride, dx += stride)
                Columns<V, T, E>.Differentiate<Relu>(x, dy, dx, channels * n, high, scale, offset, a, b, c);
        }
    }

    // Sums in T over a block of samples, merged per channel in double.
    private static void Measure(ChannelNormJob* job, int begin, int channels, T* shift, T* sum, T* square)
    {
        int n = job->Positions, width = channels * n;
        long stride = (long)job->Channels * n;
        var merged = stackalloc RunningMoments[channels];
        for (int k = 0; k < channels; k++) merged[k] = default;
        for (int sample = 0; sample < job->Samples; sample += Columns<V, T, E>.MostRows)
        {
            int rows = Math.Min(Columns<V, T, E>.MostRows, job->Samples - sample);
            E* x = (E*)job->Input + (sample * stride) + ((long)begin * n);
            Columns<V, T, E>.Shift(x, stride, rows, width, shift);
            new Span<T>(sum, width).Clear();
            new Span<T>(square, width).Clear();
            Columns<V, T, E>.AddMoments(x, stride, rows, width, shift, sum, square);
            for (int j = 0; j < width; j++)
                merged[j / n].Add(rows, double.CreateTruncating(shift[j]), double.CreateTruncating(sum[j]), double.CreateTruncating(square[j]));
        }
        for (int k = 0; k < channels; k++)
        {
            var (mean, variance) = merged[k].IsSound ? (merged[k].Mean, merged[k].Variance)
                : BatchNormPlanes<V, T, E>.Centred(job, begin + k, merged[k].Mean);
            BatchNormTerms<T, E>.Set(job, begin + k, mean, variance);
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
            for (int k = 0, j = 0; k < channels; k++)
            {
                for (int end = j + n; j < end; j++)
                {
                    sums[2 * k] += double.CreateTruncating(sum[j]);
                    sums[(2 * k) + 1] += double.CreateTruncating(dot[j]);
                }
            }
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
