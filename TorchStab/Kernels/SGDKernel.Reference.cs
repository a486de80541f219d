namespace TorchStab.Kernels;

internal partial struct SGDKernel
{
    /// <summary>The published step, for one element after the other, in double.</summary>
    public static class Reference
    {
        public static void Update(SGDArguments a, Span<double> p, ReadOnlySpan<double> g, Span<double> buffer)
        {
            for (int i = 0; i < p.Length; i++)
            {
                double d = a.Gradient.Reference(g[i], p[i]);
                if (!buffer.IsEmpty)
                {
                    buffer[i] = (a.Momentum * buffer[i]) + (a.NewShare * d);
                    d = a.LookAhead != 0 ? d + (a.LookAhead * buffer[i]) : buffer[i];
                }
                p[i] -= a.LearningRate * d;
            }
        }
    }
}
