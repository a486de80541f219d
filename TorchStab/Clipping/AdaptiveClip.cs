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
        var parts = Enumerable.Range(0, clips.Length).Where(i => clips[i]).ToLookup(i => gradients.Parameter(i).dim() <= 1);
        double smallest = ScaleWhole(gradients, [.. parts[true]], coefficients);
        foreach (var list in parts[false].GroupBy(i => (gradients.Parameter(i).device_type, gradients.Parameter(i).device_index)))
            smallest = Math.Min(smallest, ScaleRows(gradients, [.. list], coefficients));
        return new(gradients.TotalNorm(2), smallest, GradientCoefficient.Identity, coefficients);
    }

    // Tensors that are one unit: all of them are measured together. Returns the smallest factor.
    private double ScaleWhole(GradientSet gradients, List<int> indices, GradientCoefficient[] coefficients)
    {
        if (indices.Count == 0) return 1;
        double[] norms = gradients.Norms(2); // before the scope is opened, because the gradients are used afterwards
        using var scope = NewDisposeScope();
        double[] weights = GradientNorms.Of(indices.ConvertAll(gradients.Weight), 2);
        double smallest = 1;
        for (int k = 0; k < weights.Length; k++)
        {
            double largest = Math.Max(weights[k], eps) * clipping, norm = norms[indices[k]];
            double scale = norm < largest ? 1 : largest / Math.Max(norm, SmallestNorm);
            coefficients[indices[k]] = new(scale);
            smallest = Math.Min(smallest, scale);
        }
        return smallest;
    }

    // Tensors of one device that have a unit for each row. Returns the smallest factor.
    private double ScaleRows(GradientSet gradients, List<int> indices, GradientCoefficient[] coefficients)
    {
        var scales = RowScales(gradients, indices);
        double least = DeviceNumbers.Read([scales.min()])[0];
        bool isNormal = least >= GradientCoefficient.LeastNormal; // otherwise the factors need float64
        var rounded = indices.Select(i => GradientNorms.Accumulator(gradients.Gradient(i))).Distinct()
            .ToDictionary(dtype => dtype, dtype => isNormal ? scales.to(dtype) : scales);
        long at = 0;
        foreach (int i in indices)
        {
            long rows = gradients.Parameter(i).size(0);
            var own = rounded[GradientNorms.Accumulator(gradients.Gradient(i))].narrow(0, at, rows);
            coefficients[i] = new(1, UnitScale: own.view([rows, .. Enumerable.Repeat(1L, (int)gradients.Parameter(i).dim() - 1)]));
            at += rows;
        }
        return least;
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

    // The factors of all rows, one tensor after the other. Computes in float64, where the device has it: squares of gradients above 1e19 overflow float32.
    private Tensor RowScales(GradientSet gradients, List<int> indices)
    {
        var first = gradients.Parameter(indices[0]);
        // Made before the first float64 copy: between the copies they would keep the freed memory of these in pieces.
        Tensor weights = empty(indices.Sum(i => gradients.Parameter(i).size(0)), KernelSelection.WideDtype(first), first.device), norms = empty_like(weights);
        long at = 0;
        foreach (int i in indices)
        {
            var gradient = gradients.Gradient(i); // before the scope is opened, because the gradient is used afterwards
            using var scope = NewDisposeScope();
            long rows = gradient.size(0);
            weights.narrow(0, at, rows).copy_(RowNorms(gradients.Weight(i)));
            norms.narrow(0, at, rows).copy_(RowNorms(gradient));
            at += rows;
        }
        var largest = weights.clamp_min_(Held(eps)).mul_(Held(clipping));
        norms.mul_(Held(gradients.Average));
        return where(norms.lt(largest), ones_like(norms), largest / norms.clamp_min(Held(SmallestNorm)));
    }

    private static Tensor RowNorms(Tensor t)
    {
        using var wide = t.detach().to(KernelSelection.WideDtype(t));
        return linalg.vector_norm(wide, 2, [.. Enumerable.Range(1, (int)t.dim() - 1)]);
    }
}
