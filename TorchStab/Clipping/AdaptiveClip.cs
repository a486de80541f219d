using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Clipping;

/// <summary>
/// Adaptive gradient clipping: bounds the norm of each unit's gradient by clipping times the norm of the unit's weights. A unit is one row of a
/// weight (all axes but the first); a tensor with one axis or none is one unit.
/// </summary>
internal sealed class AdaptiveClip(double clipping, double eps, Func<string?, Parameter, bool>? exclude) : GradientClip
{
    // Prevents 0/0 for a unit whose gradient is zero. The value is timm's.
    private const double SmallestNorm = 1e-6;

    internal override ClipDecision Decide(GradientSet gradients)
    {
        var coefficients = new GradientCoefficient[gradients.Count];
        Array.Fill(coefficients, GradientCoefficient.Identity);
        bool[] clips = Clips(gradients);
        List<int> indices = [.. Enumerable.Range(0, clips.Length).Where(i => clips[i])];
        // All results are made before the first float64 copy: between the copies they would keep the freed memory of these in pieces.
        var scales = indices.ConvertAll(i => NewScale(gradients.Parameter(i)));
        for (int k = 0; k < scales.Count; k++) WriteScale(scales[k], gradients, indices[k]);
        double[] least = DeviceNumbers.Read(scales.ConvertAll(s => s.min()));
        for (int k = 0; k < least.Length; k++)
        {
            var dtype = least[k] >= GradientCoefficient.LeastNormal ? GradientNorms.Accumulator(gradients.Gradient(indices[k]))
                : KernelSelection.WideDtype(scales[k]);
            coefficients[indices[k]] = new(1, UnitScale: scales[k].to(dtype));
        }
        return new(gradients.TotalNorm(2), least.Aggregate(1.0, Math.Min), GradientCoefficient.Identity, coefficients);
    }

    // The user's callback runs before anything is measured, because it may move, replace or dispose the parameters that it receives.
    private bool[] Clips(GradientSet gradients)
    {
        bool[] clips = new bool[gradients.Count];
        for (int i = 0; i < clips.Length; i++)
        {
            var p = gradients.Parameter(i);
            // An infinite factor clips nothing. Multiplied by a weight norm of 0 it would give NaN.
            clips[i] = !p.IsInvalid && p.numel() > 0 && !double.IsPositiveInfinity(clipping) && exclude?.Invoke(gradients.Name(i), p) != true;
        }
        if (exclude is not null) gradients.Reread();
        return clips;
    }

    // One number for each unit, which broadcasts over the parameter.
    private static Tensor NewScale(Tensor parameter) =>
        empty(parameter.dim() <= 1 ? [] : [parameter.size(0), .. Enumerable.Repeat(1L, (int)parameter.dim() - 1)],
            KernelSelection.WideDtype(parameter), parameter.device);

    // Computes in float64, where the device has it: squares of gradients above 1e19 overflow float32.
    private void WriteScale(Tensor result, GradientSet gradients, int i)
    {
        var gradient = gradients.Gradient(i); // before the scope is opened, because the gradient is used afterwards
        using var scope = NewDisposeScope();
        var largest = UnitNorm(gradients.Weight(i)).clamp_min(Held(eps)).mul_(Held(clipping));
        var norm = UnitNorm(gradient).mul_(Held(gradients.Average));
        var scale = largest / norm.clamp_min(Held(SmallestNorm));
        result.copy_(where(norm < largest, ones_like(scale), scale));
    }

    private static Tensor UnitNorm(Tensor t)
    {
        using var wide = t.detach().to(KernelSelection.WideDtype(t));
        return t.dim() <= 1 ? linalg.vector_norm(wide) : linalg.vector_norm(wide, 2, [.. Enumerable.Range(1, (int)t.dim() - 1)], keepdim: true);
    }
}
