namespace TorchStab.Kernels;

internal partial struct RMSpropKernel
{
    /// <summary>The published step, for one element after the other, in double.</summary>
    public static class Reference
    {
        public static void Update(RMSpropArguments a, Span<double> p, ReadOnlySpan<double> g, Span<double> squares, Span<double> means, Span<double> buffer)
        {
            for (int i = 0; i < p.Length; i++)
            {
                double d = a.Gradient.Reference(g[i], p[i]);
                squares[i] = (a.Alpha * squares[i]) + ((1 - a.Alpha) * d * d);
                if (!means.IsEmpty) means[i] = (a.Alpha * means[i]) + ((1 - a.Alpha) * d);
                double variance = means.IsEmpty ? squares[i] : Math.Max(squares[i] - (means[i] * means[i]), 0);
                d /= Math.Sqrt(variance) + a.Eps;
                if (!buffer.IsEmpty) d = buffer[i] = (a.Momentum * buffer[i]) + d;
                p[i] -= a.LearningRate * d;
            }
        }
    }
}
