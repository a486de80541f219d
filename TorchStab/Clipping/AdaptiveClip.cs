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
        var which = new List<int>();
        List<Tensor> scales = [], smallest = [];
        bool[] clips = Clips(gradients);
        for (int i = 0; i < coefficients.Length; i++)
        {
            if (!clips[i]) continue;
            which.Add(i);
            scales.Add(UnitScale(gradients.Parameter(i), gradients.Gradient(i), gradients.Average));
            smallest.Add(scales[^1].min());
        }
        double[] least = GradientNorms.ReadBack(smallest);
        for (int k = 0; k < least.Length; k++)
            coefficients[which[k]] = new(1, UnitScale: scales[k].to(least[k] >= GradientCoefficient.LeastNormal ? GradientNorms.Accumulator(gradients.Gradient(which[k])) : ScalarType.Float64));
        return new(gradients.TotalNorm(2), least.Aggregate(1.0, Math.Min), GradientCoefficient.Identity, coefficients);
    }

    // The user's code runs before anything is measured: it may move, exchange or even dispose what it is shown.
    private bool[] Clips(GradientSet gradients)
    {
        bool[] clips = new bool[gradients.Count];
        for (int i = 0; i < clips.Length; i++)
        {
            var p = gradients.Parameter(i);
            // An infinite factor clips nothing; times weights of length 0 it would be NaN.
            clips[i] = !p.IsInvalid && p.numel() > 0 && !double.IsPositiveInfinity(clipping) && exclude?.Invoke(gradients.Name(i), p) != true;
        }
        if (exclude is not null) gradients.Reread();
        return clips;
    }

    // In float64, where squares of float32 gradients beyond 1e19 do not overflow. Kept is a number per unit, the rest is gone at the end.
    private Tensor UnitScale(Tensor parameter, Tensor gradient, double average)
    {
        using var scope = NewDisposeScope();
        var largest = UnitNorm(parameter).clamp_min(eps).mul_(clipping);
        var norm = UnitNorm(gradient).mul_(average);
        var scale = largest / norm.clamp_min(SmallestNorm);
        return where(norm < largest, ones_like(scale), scale).MoveToOuterDisposeScope();
    }

    private static Tensor UnitNorm(Tensor t)
    {
        using var wide = t.detach().to(ScalarType.Float64);
        return t.dim() <= 1 ? linalg.vector_norm(wide) : linalg.vector_norm(wide, 2, [.. Enumerable.Range(1, (int)t.dim() - 1)], keepdim: true);
    }
}
