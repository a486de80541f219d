namespace TorchStab.Clipping;

/// <summary>Multiplies each gradient by c / max(‖g‖₂, c), Keras's clipnorm. Keeps each gradient's direction, but not that of all gradients together.</summary>
internal sealed class ParameterNormClip(double c) : GradientClip
{
    internal override ClipDecision Decide(GradientSet gradients) =>
        ClipDecision.PerGradient(gradients.TotalNorm(2), Array.ConvertAll(gradients.Norms(2), n => n <= c ? 1 : c / n));
}
