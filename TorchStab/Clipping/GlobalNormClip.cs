namespace TorchStab.Clipping;

/// <summary>
/// Multiplies all gradients by one factor: c / max(‖g‖ₚ + eps, c), which equals min(1, c / (‖g‖ₚ + eps)) and avoids 0/0. PyTorch's eps is 1e-6.
/// With eps = 0 it is Keras's formula, in which a norm that is not finite makes every gradient NaN.
/// </summary>
internal sealed class GlobalNormClip(double c, double order, double eps) : GradientClip
{
    internal override double Order => order;

    internal override ClipDecision Decide(GradientSet gradients)
    {
        double norm = gradients.TotalNorm(order);
        return ClipDecision.Uniform(norm, Scale(norm, c, eps));
    }

    public static double Scale(double norm, double c, double eps)
    {
        if (eps == 0 && !double.IsFinite(norm)) return double.NaN;
        double n = norm + eps;
        return n <= c || norm == 0 ? 1 : c / n; // gradients that are all zero are not clipped, even if c is 0
    }
}
