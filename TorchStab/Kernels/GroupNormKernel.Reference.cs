namespace TorchStab.Kernels;

/// <summary>
/// The formulas of <see cref="GroupNormKernel"/> on contiguous (samples, channels, positions), for one element at a time in double. Tests compare the kernels
/// with them. With one group per channel they are the formulas of instance normalization.
/// </summary>
internal static class GroupNormReference
{
    public static void Forward(ReadOnlySpan<double> x, int groups, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, int positions, double eps,
        Span<double> y)
    {
        int channels = weight.Length, n = channels / groups * positions;
        for (int begin = 0; begin < x.Length; begin += n)
        {
            var (mean, r) = Statistics(x.Slice(begin, n), eps);
            for (int i = begin; i < begin + n; i++) y[i] = ((x[i] - mean) * r * weight[i / positions % channels]) + bias[i / positions % channels];
        }
    }

    public static void Backward(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, int groups, ReadOnlySpan<double> weight, int positions, double eps,
        Span<double> dx, Span<double> dweight, Span<double> dbias)
    {
        int channels = weight.Length, n = channels / groups * positions;
        for (int begin = 0; begin < x.Length; begin += n)
        {
            var (mean, r) = Statistics(x.Slice(begin, n), eps);
            double sum = 0, dot = 0;
            for (int i = begin; i < begin + n; i++)
            {
                int c = i / positions % channels;
                double normalized = (x[i] - mean) * r;
                dweight[c] += dy[i] * normalized;
                dbias[c] += dy[i];
                sum += dy[i] * weight[c];
                dot += dy[i] * weight[c] * normalized;
            }
            for (int i = begin; i < begin + n; i++)
                dx[i] = r * ((dy[i] * weight[i / positions % channels]) - (sum / n) - ((x[i] - mean) * r * dot / n));
        }
    }

    private static (double Mean, double InverseDeviation) Statistics(ReadOnlySpan<double> group, double eps)
    {
        double mean = 0, rest = 0, variance = 0;
        foreach (double v in group) mean += v / group.Length;
        foreach (double v in group) rest += (v - mean) / group.Length; // the rounding error of the first sum
        mean += rest;
        foreach (double v in group) variance += (v - mean) * (v - mean) / group.Length;
        return (mean, 1 / Math.Sqrt(variance + eps));
    }
}
