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
        for (int i = 0; i < norms.Length; i++)
            if (double.IsPositiveInfinity(norms[i])) norms[i] = WithoutOverflow(tensor(i), order);
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
        double[] values = ReadBack(tensors.ConvertAll(t => Norm(t, order)));
        for (int k = 0; k < values.Length; k++) norms[which[k]] = values[k];
    }

    private static Tensor Norm(Tensor tensor, double order)
    {
        if (tensor.numel() == 0) return zeros(1, Accumulator(tensor), tensor.device)[0]; // max of nothing is an error
        var t = tensor.dtype == Accumulator(tensor) ? tensor : tensor.to(Accumulator(tensor));
        return linalg.vector_norm(t, order);
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

    // Squares of finite elements overflow from 1e19 (float32) on: then, and only then, divide by the largest first.
    private static double WithoutOverflow(Tensor tensor, double order)
    {
        var t = tensor.to(ScalarType.Float64);
        double largest = t.abs().max().item<double>();
        if (largest == 0 || !double.IsFinite(largest)) return double.IsNaN(largest) ? double.NaN : double.PositiveInfinity;
        return largest * linalg.vector_norm(t / largest, order).item<double>();
    }
}
