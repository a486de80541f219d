namespace TorchStab.Clipping;

/// <summary>Divides each gradient by its root mean square where that exceeds c: g / max(1, rms(g) / c), as optax's clip_by_block_rms.</summary>
internal sealed class BlockRmsClip(double c) : GradientClip
{
    internal override ClipDecision Decide(GradientSet gradients)
    {
        double[] norms = gradients.Norms(2);
        double[] scales = new double[norms.Length];
        for (int i = 0; i < scales.Length; i++)
        {
            double rms = norms[i] / Math.Sqrt(Math.Max(1, gradients.Parameter(i).numel()));
            scales[i] = rms <= c ? 1 : c / rms;
        }
        return ClipDecision.PerGradient(gradients.TotalNorm(2), scales);
    }
}
