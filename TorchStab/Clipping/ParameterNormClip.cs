namespace TorchStab.Clipping;

/// <summary>Each gradient by its own norm: c / max(‖g‖₂, c), Keras's clipnorm. Directions within a gradient stay, those between do not.</summary>
internal sealed class ParameterNormClip(double c) : GradientClip
{
    internal override ClipDecision Decide(GradientSet gradients) =>
        ClipDecision.PerGradient(gradients.TotalNorm(2), Array.ConvertAll(gradients.Norms(2), n => n <= c ? 1 : c / n));
}
