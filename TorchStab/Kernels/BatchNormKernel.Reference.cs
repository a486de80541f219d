namespace TorchStab.Kernels;

/// <summary>
/// The formulas of <see cref="BatchNormKernel{Relu}"/> on contiguous (samples, channels, positions), for one element at a time in double. Tests compare the
/// kernels with them.
/// </summary>
internal sealed class BatchNormReference(int samples, int channels, int positions, double eps, bool relu)
{
    public double[] Mean { get; } = new double[channels];

    public double[] Variance { get; } = new double[channels];

    public void Measure(ReadOnlySpan<double> x)
    {
        double n = (double)samples * positions;
        for (int c = 0; c < channels; c++)
        {
            double mean = 0, rest = 0, variance = 0;
            foreach (int i in Of(c)) mean += x[i] / n;
            foreach (int i in Of(c)) rest += (x[i] - mean) / n; // the rounding error of the first sum
            mean += rest;
            foreach (int i in Of(c)) variance += (x[i] - mean) * (x[i] - mean) / n;
            (Mean[c], Variance[c]) = (mean, variance);
        }
    }

    public void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, Span<double> y)
    {
        for (int c = 0; c < channels; c++)
        {
            foreach (int i in Of(c))
            {
                double v = (Normalized(x, i, c) * weight[c]) + bias[c];
                y[i] = relu && v < 0 ? 0 : v;
            }
        }
    }

    /// <summary>Given statistics are constants: no gradient passes through them.</summary>
    public void Backward(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, bool given,
        Span<double> dx, Span<double> dweight, Span<double> dbias)
    {
        double n = (double)samples * positions;
        for (int c = 0; c < channels; c++)
        {
            foreach (int i in Of(c))
            {
                dx[i] = relu && (Normalized(x, i, c) * weight[c]) + bias[c] <= 0 ? 0 : dy[i];
                dbias[c] += dx[i];
                dweight[c] += dx[i] * Normalized(x, i, c);
            }
            double scale = weight[c] / Math.Sqrt(Variance[c] + eps);
            foreach (int i in Of(c)) dx[i] = scale * (dx[i] - (given ? 0 : (dbias[c] / n) + (Normalized(x, i, c) * dweight[c] / n)));
        }
    }

    private double Normalized(ReadOnlySpan<double> x, int i, int c) => (x[i] - Mean[c]) / Math.Sqrt(Variance[c] + eps);

    private IEnumerable<int> Of(int channel)
    {
        for (int sample = 0; sample < samples; sample++)
            for (int p = 0; p < positions; p++) yield return (((sample * channels) + channel) * positions) + p;
    }
}
