namespace TorchStab.Kernels;

/// <summary>
/// The formulas of <see cref="LayerNorm2dKernel"/> on contiguous (samples, channels, positions), for one element at a time in double: those of
/// <see cref="LayerNormReference"/> on the channels of each position. Tests compare the kernels with them.
/// </summary>
internal static class LayerNorm2dReference
{
    public static void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, int positions, double eps, Span<double> y)
    {
        double[] rows = new double[x.Length];
        LayerNormReference.Forward(Turned(x, weight.Length, positions), weight, bias, eps, rows);
        Turned(rows, positions, weight.Length).CopyTo(y);
    }

    public static void Backward(ReadOnlySpan<double> x, ReadOnlySpan<double> dy, ReadOnlySpan<double> weight, int positions, double eps,
        Span<double> dx, Span<double> dweight, Span<double> dbias)
    {
        double[] rows = new double[x.Length];
        LayerNormReference.Backward(Turned(x, weight.Length, positions), Turned(dy, weight.Length, positions), weight, eps, rows, dweight, dbias);
        Turned(rows, positions, weight.Length).CopyTo(dx);
    }

    // (samples, a, b) to (samples, b, a).
    private static double[] Turned(ReadOnlySpan<double> values, int a, int b)
    {
        double[] turned = new double[values.Length];
        for (int i = 0; i < values.Length; i++) turned[(i / (a * b) * a * b) + (i % b * a) + (i / b % a)] = values[i];
        return turned;
    }
}
