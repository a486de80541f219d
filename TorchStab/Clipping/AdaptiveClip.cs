using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// Adaptive gradient clipping: a unit's gradient may be clipping times as long as the unit's weights. A unit is a row (everything but
/// the first axis); tensors of one axis or none are one unit.
/// </summary>
internal sealed class AdaptiveClip(double clipping, double eps, Func<string?, Parameter, bool>? exclude) : GradientClip
{
    // Keeps a unit whose gradient is zero from 0/0; timm's value.
    private const double SmallestNorm = 1e-6;

    internal override ClipDecision Decide(GradientSet gradients)
    {
        var coefficients = new GradientCoefficient[gradients.Count];
        Array.Fill(coefficients, GradientCoefficient.Identity);
        var smallest = new List<Tensor>();
        for (int i = 0; i < coefficients.Length; i++)
        {
            var p = gradients.Parameter(i);
            if (p.numel() == 0 || exclude?.Invoke(gradients.Name(i), p) == true) continue;
            var scale = UnitScale(p, gradients.Gradient(i), gradients.Average);
            coefficients[i] = new(1, UnitScale: scale);
            smallest.Add(scale.min());
        }
        if (exclude is not null) gradients.Reread();
        return new(gradients.TotalNorm(2), GradientNorms.ReadBack(smallest).Aggregate(1.0, Math.Min), GradientCoefficient.Identity, coefficients);
    }

    private Tensor UnitScale(Tensor parameter, Tensor gradient, double average)
    {
        var largest = UnitNorm(parameter).clamp_min(eps).mul_(clipping);
        var norm = UnitNorm(gradient).mul_(average);
        var scale = largest / norm.clamp_min(SmallestNorm);
        return where(norm < largest, ones_like(scale), scale).to(gradient.dtype);
    }

    private static Tensor UnitNorm(Tensor t)
    {
        t = t.detach().to(GradientNorms.Accumulator(t));
        return t.dim() <= 1 ? linalg.vector_norm(t) : linalg.vector_norm(t, 2, [.. Enumerable.Range(1, (int)t.dim() - 1)], keepdim: true);
    }
}
