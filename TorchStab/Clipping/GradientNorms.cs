using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// Norms of many tensors with one read-back from the device. Half types accumulate in float32; across tensors the sum is in double.
/// </summary>
internal static class GradientNorms
{
    /// <summary>‖t‖ₚ of each tensor: p = ∞ is max |t|, −∞ min |t|, 0 the count of elements that are not zero.</summary>
    public static double[] Of(IReadOnlyList<Tensor> tensors, double order)
    {
        double[] norms = new double[tensors.Count];
        Measure([.. tensors.Select(TensorView.Of)], i => tensors[i], order, norms);
        GC.KeepAlive(tensors);
        return norms;
    }

    /// <summary>The same into <paramref name="norms"/>; <paramref name="tensor"/> gives the tensors that no kernel can measure.</summary>
    public static void Measure(ReadOnlySpan<TensorView> views, Func<int, Tensor> tensor, double order, Span<double> norms)
    {
        if (views.Length == 0) return;
        if (GlobalNormDispatch.Norms(views, order, norms) is { } rest) TensorForm(tensor, rest, order, norms);
        if (!double.IsPositiveInfinity(order) && norms.Contains(double.PositiveInfinity)) WithoutOverflow(views, tensor, order, norms);
    }

    /// <summary>(Σ nᵢᵖ)^(1/p), the norm of the norms: that of all elements together. 0 for no tensor at all.</summary>
    public static double Total(ReadOnlySpan<double> norms, double order)
    {
        if (norms.Length == 0) return 0;
        double largest = 0, smallest = double.PositiveInfinity, sum = 0;
        foreach (double n in norms)
        {
            largest = Math.Max(largest, n); // Math.Max and Math.Min propagate NaN
            smallest = Math.Min(smallest, n);
            sum += order == 2 ? n * n : order == 0 ? (n != 0 ? 1 : 0) : Math.Pow(n, order);
        }
        if (double.IsPositiveInfinity(order)) return largest;
        if (double.IsNegativeInfinity(order)) return smallest;
        if (order == 0) return sum;
        if (order > 0 && double.IsInfinity(sum) && double.IsFinite(largest)) return Scaled(norms, order, largest);
        return order == 2 ? Math.Sqrt(sum) : Math.Pow(sum, 1 / order);
    }

    private static double Scaled(ReadOnlySpan<double> norms, double order, double largest)
    {
        double sum = 0;
        foreach (double n in norms) sum += Math.Pow(n / largest, order);
        return largest * Math.Pow(sum, 1 / order);
    }

    private static void TensorForm(Func<int, Tensor> tensor, List<int> which, double order, Span<double> norms)
    {
        var tensors = which.ConvertAll(i => tensor(i)); // they outlive what is made of them here
        using var scope = NewDisposeScope();
        var results = tensors.ConvertAll(t => zeros(1, Accumulator(t), t.device)[0]); // made first: among the copies they would hold the memory of these in pieces
        for (int k = 0; k < results.Count; k++) WriteNorm(tensors[k], order, results[k]);
        double[] values = ReadBack(results);
        for (int k = 0; k < values.Length; k++) norms[which[k]] = values[k];
    }

    // What it takes is gone before the next tensor's.
    private static void WriteNorm(Tensor tensor, double order, Tensor result)
    {
        using var scope = NewDisposeScope();
        if (tensor.numel() > 0) result.copy_(linalg.vector_norm(tensor.to(Accumulator(tensor)), order)); // max of nothing is an error
    }

    /// <summary>The dtype that norms of a tensor are taken in.</summary>
    public static ScalarType Accumulator(Tensor tensor) => tensor.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    /// <summary>The values of many scalars, read from the device at once.</summary>
    public static double[] ReadBack(IReadOnlyList<Tensor> norms)
    {
        if (norms.Count == 0) return [];
        var device = norms[0].device;
        var dtype = norms.Any(n => n.dtype == ScalarType.Float64) ? ScalarType.Float64 : ScalarType.Float32;
        var stacked = stack(norms.Select(n => n.to(dtype, device)).ToArray());
        return stacked.to(CPU).to(ScalarType.Float64).data<double>().ToArray();
    }

    // Powers of finite elements overflow (squares from 1e19 in float32, 1e154 in float64): then, and only then, divide by the largest first.
    // A tensor whose largest element is not finite is told by that alone: nothing of it is copied, and all of them are read back at once.
    private static void WithoutOverflow(ReadOnlySpan<TensorView> views, Func<int, Tensor> tensor, double order, Span<double> norms)
    {
        List<int> infinite = [], finite = [];
        for (int i = 0; i < norms.Length; i++) if (double.IsPositiveInfinity(norms[i])) infinite.Add(i);
        var suspects = new TensorView[infinite.Count];
        for (int k = 0; k < suspects.Length; k++) suspects[k] = views[infinite[k]];
        double[] largest = new double[suspects.Length];
        Measure(suspects, k => tensor(infinite[k]), double.PositiveInfinity, largest);
        for (int k = 0; k < largest.Length; k++)
        {
            norms[infinite[k]] = largest[k];
            if (double.IsFinite(largest[k]) && largest[k] > 0) finite.Add(infinite[k]);
        }
        if (finite.Count > 0) Rescaled(tensor, finite, order, norms);
    }

    /// <summary>‖t‖ = m · ‖t / m‖ of those in <paramref name="which"/>, whose largest magnitudes m stand in <paramref name="norms"/>.</summary>
    private static void Rescaled(Func<int, Tensor> tensor, List<int> which, double order, Span<double> norms)
    {
        var tensors = which.ConvertAll(i => tensor(i));
        using var scope = NewDisposeScope();
        var parts = tensors.ConvertAll(t => zeros(1, ScalarType.Float64, t.device)[0]);
        for (int k = 0; k < tensors.Count; k++)
        {
            using var one = NewDisposeScope();
            parts[k].copy_(linalg.vector_norm(tensors[k].to(ScalarType.Float64, copy: true).div_(norms[which[k]]), order));
        }
        double[] values = ReadBack(parts);
        for (int k = 0; k < values.Length; k++) norms[which[k]] *= values[k];
    }
}
