namespace TorchStab.Kernels;

internal partial struct AdamKernel
{
    /// <summary>The published step, for one element after the other, in double.</summary>
    public static class Reference
    {
        public static void Update(AdamArguments a, Span<double> p, ReadOnlySpan<double> g, Span<double> m, Span<double> v, Span<double> max)
        {
            for (int i = 0; i < p.Length; i++)
            {
                double d = a.Gradient.Reference(g[i], p[i]);
                m[i] = (a.Beta1 * m[i]) + ((1 - a.Beta1) * d);
                v[i] = (a.Beta2 * v[i]) + ((1 - a.Beta2) * d * d);
                if (!max.IsEmpty) max[i] = Math.Max(max[i], v[i]);
                double second = max.IsEmpty ? v[i] : max[i];
                p[i] = (a.Decay * p[i]) - (a.StepSize * m[i] / ((Math.Sqrt(second) * a.Correction) + a.Eps));
            }
        }
    }
}
