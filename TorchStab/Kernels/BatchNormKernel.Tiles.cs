using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization for planes of few positions, which are shorter than a few vectors. Planes of neighbouring channels are contiguous, so a tile of
/// channels is a matrix with one row per sample, whose columns are summed and scaled in whole vectors. A tile stays in the second-level cache between its
/// passes.
/// </summary>
internal static unsafe class BatchNormTiles<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>The number of channels in a tile.</summary>
    public static int Width(int positions) => Math.Max(1, BatchNormTile.Columns / positions);

    public static void Forward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        T* memory = stackalloc T[3 * BatchNormTile.Columns];
        ColumnTables<T> tables = new(memory, BatchNormTile.Columns);
        int n = job->Positions, most = Width(n);
        for (int tile = first; tile < last; tile++)
        {
            int begin = tile * most, channels = Math.Min(most, job->Channels - begin);
            Measure(job, begin, channels, tables.High, tables.Scale, tables.Offset);
            Expand(job, begin, channels, tables);
            long at = (long)begin * n;
            Columns<V, T, E>.Normalize<Relu, No>((E*)job->Input + at, (E*)job->Output + at, (long)job->Channels * n, job->Samples, channels * n, tables);
        }
    }

    public static void Backward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        T* memory = stackalloc T[6 * BatchNormTile.Columns];
        ColumnTables<T> tables = new(memory, BatchNormTile.Columns);
        double* sums = stackalloc double[2 * BatchNormTile.Columns];
        int n = job->Positions, most = Width(n);
        long stride = (long)job->Channels * n;
        for (int tile = first; tile < last; tile++)
        {
            int begin = tile * most, channels = Math.Min(most, job->Channels - begin);
            Expand(job, begin, channels, tables);
            Sum<Relu>(job, begin, channels, tables, sums);
            for (int k = 0; k < channels; k++)
            {
                double lack = job->Mean[begin + k] - double.CreateTruncating(tables.High[k * n]);
                var slope = BatchNormTerms<T>.Backward(job, begin + k, sums[k], sums[channels + k] - (sums[k] * lack));
                Fill(slope.Scale, slope.Rate, slope.Constant, n, tables.A + (k * n), tables.B + (k * n), tables.C + (k * n));
            }
            if (job->InputGradient == null) continue;
            long at = (long)begin * n;
            Columns<V, T, E>.Differentiate<Relu, No>((E*)job->Input + at, (E*)job->OutputGradient + at, (E*)job->InputGradient + at, stride, job->Samples,
                channels * n, tables);
        }
    }

    // Writes each channel's coefficients once for each of its positions.
    private static void Expand(ChannelNormJob* job, int begin, int channels, ColumnTables<T> tables)
    {
        int n = job->Positions;
        for (int k = 0; k < channels; k++)
        {
            var terms = BatchNormTerms<T>.Forward(job, begin + k);
            Fill(terms.High, terms.Scale, terms.Offset, n, tables.High + (k * n), tables.Scale + (k * n), tables.Offset + (k * n));
        }
    }

    // Sums in T over a block of samples, about one shift per channel. The blocks' sums are added in double.
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
            if (!Statistics<V, T, E>.IsAccurate(variance, offset)) (mean, variance) = BatchNormPlanes<V, T, E>.Centred(job, begin + k, mean);
            BatchNormTerms<T>.Set(job, begin + k, mean, variance);
        }
    }

    // The shift is the mean of about 64 values, from samples of the whole batch.
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

    // Adds the columns of each channel to its total. Four independent sums hide the latency of the addition.
    [MethodImpl(Jit.Loop)]
    private static void AddPositions<U>(U* columns, int n, int channels, double* totals) where U : unmanaged, IBinaryFloatingPointIeee754<U>
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

    private static void Sum<Relu>(ChannelNormJob* job, int begin, int channels, ColumnTables<T> tables, double* sums) where Relu : struct, IFlag
    {
        int n = job->Positions, width = channels * n;
        long stride = (long)job->Channels * n;
        T* sum = tables.A, dot = tables.B; // unused until the gradient's coefficients are known
        double* totals = stackalloc double[2 * width], dots = totals + width;
        new Span<double>(sums, 2 * channels).Clear();
        if (job->HasStatistics && job->WeightGradient == null && job->BiasGradient == null) return;
        new Span<T>(sum, width).Clear();
        new Span<T>(dot, width).Clear();
        new Span<double>(totals, 2 * width).Clear();
        for (int sample = 0; sample < job->Samples; sample += Columns<V, T, E>.MostGradientRows)
        {
            int rows = Math.Min(Columns<V, T, E>.MostGradientRows, job->Samples - sample);
            long at = (sample * stride) + ((long)begin * n);
            Columns<V, T, E>.AddSums<Relu>((E*)job->Input + at, (E*)job->OutputGradient + at, stride, rows, width, tables, sum, dot);
            Columns<V, T, E>.Flush(sum, totals, width);
            Columns<V, T, E>.Flush(dot, dots, width);
        }
        AddPositions(totals, n, channels, sums);
        AddPositions(dots, n, channels, sums + channels);
    }

    private static void Fill(T a, T b, T c, int n, T* first, T* second, T* third)
    {
        new Span<T>(first, n).Fill(a);
        new Span<T>(second, n).Fill(b);
        new Span<T>(third, n).Fill(c);
    }
}

internal static class BatchNormTile
{
    /// <summary>
    /// Columns of a tile: with a hundred samples a tile just fits in the second-level cache. A plane in a tile has at most this many positions.
    /// </summary>
    public const int Columns = 1024;
}
