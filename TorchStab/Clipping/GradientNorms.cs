using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// Norms of many tensors with one read-back from the device. Half types accumulate in float32; across tensors the sum is in double.
/// </summary>
internal static class GradientNorms
{
    /// <summary>A sum of powers outside these may have lost digits to powers that vanished, or overflowed.</summary>
    private const double LeastSum = 1e-280, MostSum = 1e300;

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
        var rest = GlobalNormDispatch.Norms(views, order, norms);
        if (rest is not null) TensorForm(tensor, rest, order, norms);
        if (Doubtful(views, rest, tensor, order, norms) is { } again) Again(views, tensor, again, order, norms);
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
        double pivot = order > 0 ? largest : smallest;
        if (!(sum is >= LeastSum and <= MostSum) && pivot > 0 && double.IsFinite(pivot)) return Scaled(norms, order, pivot);
        return order == 2 ? Math.Sqrt(sum) : Math.Pow(sum, 1 / order);
    }

    private static double Scaled(ReadOnlySpan<double> norms, double order, double pivot)
    {
        double sum = 0;
        foreach (double n in norms) sum += Math.Pow(n / pivot, order);
        return pivot * Math.Pow(sum, 1 / order);
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

    // The norms whose sums of powers may have overflowed, or lost terms that vanished; null for none. Indices in rest come from tensor operations.
    private static List<int>? Doubtful(ReadOnlySpan<TensorView> views, List<int>? rest, Func<int, Tensor> tensor, double order, ReadOnlySpan<double> norms)
    {
        if (order == 0 || double.IsInfinity(order)) return null;
        List<int>? found = null;
        int next = 0;
        for (int i = 0; i < norms.Length; i++)
        {
            bool inTensorOps = rest is not null && next < rest.Count && rest[next] == i;
            if (inTensorOps) next++;
            if (!(inTensorOps ? Holds(norms[i], order, tensor(i)) : Holds(norms[i], order, views[i]))) (found ??= []).Add(i);
        }
        return found;
    }

    // Kernels add in double, where no square of a float vanishes.
    private static bool Holds(double norm, double order, in TensorView view) => view.Count == 0 || double.IsNaN(norm)
        || (view.Dtype != ScalarType.Float64 || order == 1 ? norm < double.PositiveInfinity : norm is > 1e-130 and < 1e150);

    // The mean power tells whether the terms that weigh most kept their digits, and the sum whether it is finite.
    private static bool Holds(double norm, double order, Tensor tensor)
    {
        long count = tensor.numel();
        if (count == 0 || double.IsNaN(norm)) return true;
        bool wide = tensor.dtype == ScalarType.Float64;
        double power = order * Math.Log2(norm);
        return power - Math.Log2(count) >= (wide ? -960 : -100) && power <= (wide ? 1000 : 120);
    }

    // Relative to the term that weighs most, the largest element, or of a negative order the smallest: in double no power of the others overflows, and
    // what vanishes is of no weight. A tensor whose pivot is 0 or not finite is told by that alone: nothing of it is copied, and all of them are read back at once.
    private static void Again(ReadOnlySpan<TensorView> views, Func<int, Tensor> tensor, List<int> which, double order, Span<double> norms)
    {
        var suspects = new TensorView[which.Count];
        for (int k = 0; k < suspects.Length; k++) suspects[k] = views[which[k]];
        double[] pivots = new double[suspects.Length];
        Measure(suspects, k => tensor(which[k]), order > 0 ? double.PositiveInfinity : double.NegativeInfinity, pivots);
        for (int k = 0; k < pivots.Length; k++) norms[which[k]] = pivots[k];
        List<int> finite = [];
        for (int k = 0; k < pivots.Length; k++)
            if (double.IsFinite(pivots[k]) && pivots[k] > 0) finite.Add(which[k]);
        if (finite.Count > 0) Rescaled(tensor, finite, order, norms);
    }

    /// <summary>‖t‖ = m · ‖t / m‖ of those in <paramref name="which"/>, whose pivots m stand in <paramref name="norms"/>.</summary>
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
