namespace TorchStab.Kernels;

/// <summary>The formulas of <see cref="RowNormKernel{Centre}"/>, for one element at a time in double. Tests compare the kernels with them.</summary>
internal static class RMSNormReference
{
    public static void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> weight, double eps, Span<double> y)
    {
        int n = weight.Length;
        for (int row = 0; row < x.Length; row += n)
        {
            double r = InverseRoot(x.Slice(row, n), eps);
            for (int j = 0; j < n; j++) y[row + j] = x[row + j] * r * weight[j];
        }
    }

    public static void Backward(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, ReadOnlySpan<double> weight, double eps,
        Span<double> dx, Span<double> dweight)
    {
        int n = weight.Length;
        for (int row = 0; row < x.Length; row += n)
        {
            double r = InverseRoot(x.Slice(row, n), eps), dot = 0;
            for (int j = 0; j < n; j++)
            {
                dot += dy[row + j] * weight[j] * x[row + j] * r;
                dweight[j] += dy[row + j] * x[row + j] * r;
            }
            for (int j = 0; j < n; j++) dx[row + j] = r * ((dy[row + j] * weight[j]) - (x[row + j] * r * dot / n));
        }
    }

    private static double InverseRoot(ReadOnlySpan<double> row, double eps)
    {
        double square = 0;
        foreach (double v in row) square += v * v / row.Length;
        return 1 / Math.Sqrt(square + eps);
    }
}
