namespace TorchStab.Kernels;

/// <summary>The formulas of <see cref="RowNormKernel{Centre}"/>, for one element at a time in double. Tests compare the kernels with them.</summary>
internal static class LayerNormReference
{
    public static void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, double eps, Span<double> y)
    {
        int n = weight.Length;
        for (int row = 0; row < x.Length; row += n)
        {
            var (mean, r) = Statistics(x.Slice(row, n), eps);
            for (int j = 0; j < n; j++) y[row + j] = ((x[row + j] - mean) * r * weight[j]) + bias[j];
        }
    }

    public static void Backward(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, ReadOnlySpan<double> weight, double eps,
        Span<double> dx, Span<double> dweight, Span<double> dbias)
    {
        int n = weight.Length;
        for (int row = 0; row < x.Length; row += n)
        {
            var (mean, r) = Statistics(x.Slice(row, n), eps);
            double sum = 0, dot = 0;
            for (int j = 0; j < n; j++)
            {
                double normalized = (x[row + j] - mean) * r, gradient = dy[row + j];
                sum += gradient * weight[j];
                dot += gradient * weight[j] * normalized;
                dweight[j] += gradient * normalized;
                dbias[j] += gradient;
            }
            for (int j = 0; j < n; j++) dx[row + j] = r * ((dy[row + j] * weight[j]) - (sum / n) - ((x[row + j] - mean) * r * dot / n));
        }
    }

    private static (double Mean, double InverseDeviation) Statistics(ReadOnlySpan<double> row, double eps)
    {
        double mean = 0, rest = 0, variance = 0;
        foreach (double v in row) mean += v / row.Length;
        foreach (double v in row) rest += (v - mean) / row.Length; // the rounding error of the first sum
        mean += rest;
        foreach (double v in row) variance += (v - mean) * (v - mean) / row.Length;
        return (mean, 1 / Math.Sqrt(variance + eps));
    }
}
