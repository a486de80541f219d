using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Clipping;

/// <summary>
/// Norms of many tensors, read back from the device at once. Half types accumulate in float32; the sum over tensors is in double.
/// </summary>
internal static class GradientNorms
{
    /// <summary>Outside this range a sum of powers may have overflowed, or may lack powers that underflowed.</summary>
    private const double LeastSum = 1e-280, MostSum = 1e300;

    /// <summary>The smallest float64 that is not denormal: a device may take a denormal number for 0.</summary>
    private const double LeastNormalDouble = 2.2250738585072014e-308;

    /// <summary>‖t‖ₚ of each tensor: p = ∞ is max |t|, −∞ min |t|, 0 the count of elements that are not zero.</summary>
    public static double[] Of(IReadOnlyList<Tensor> tensors, double order)
    {
        double[] norms = new double[tensors.Count];
        Measure([.. tensors.Select(TensorView.Of)], i => tensors[i], order, norms);
        GC.KeepAlive(tensors);
        return norms;
    }

    /// <summary>
    /// As <see cref="Of(IReadOnlyList{Tensor}, double)"/> for p of 0, 2 or ∞. A norm that no kernel computes is NaN until <paramref name="later"/> is read.
    /// </summary>
    public static double[] Of(IReadOnlyList<Tensor> tensors, double order, DeviceNumbers later)
    {
        double[] norms = new double[tensors.Count];
        TensorView[] views = [.. tensors.Select(TensorView.Of)];
        var remaining = GlobalNormLaunch.Norms(views, order, norms) ?? [];
        foreach (int i in remaining) norms[i] = double.NaN;
        if (Inaccurate(views, null, i => tensors[i], order, norms) is { } inaccurate) MeasureScaled(views, i => tensors[i], inaccurate, order, norms);
        foreach (int i in remaining) MeasureLater(tensors[i], order, later, value => norms[i] = value);
        return norms;
    }

    // ‖t‖₂ = m · ‖t / m‖₂ with m = max |t|: nothing has to be looked at before it is known that no square overflows.
    private static void MeasureLater(Tensor tensor, double order, DeviceNumbers later, Action<double> set)
    {
        using var scope = NewDisposeScope();
        if (tensor.numel() == 0)
        {
            set(0);
            return;
        }
        var t = tensor.to(Accumulator(tensor));
        if (order != 2)
        {
            later.Add(linalg.vector_norm(t, order), set);
            return;
        }
        double least = t.dtype == ScalarType.Float64 ? LeastNormalDouble : GradientCoefficient.LeastNormal, largest = double.NaN;
        var m = linalg.vector_norm(t, double.PositiveInfinity);
        later.Add(m, value => largest = value);
        later.Add(linalg.vector_norm(t / m.clamp(least), order),
            part => set(largest > 0 && double.IsFinite(largest) ? Math.Max(largest, least) * part : largest));
    }

    /// <summary>Writes the norms into <paramref name="norms"/>. <paramref name="tensor"/> returns a tensor that no kernel can measure, by index.</summary>
    public static void Measure(ReadOnlySpan<TensorView> views, Func<int, Tensor> tensor, double order, Span<double> norms)
    {
        if (views.Length == 0) return;
        var remaining = GlobalNormLaunch.Norms(views, order, norms);
        if (remaining is not null) InTensorOps(tensor, remaining, order, norms);
        if (Inaccurate(views, remaining, tensor, order, norms) is { } inaccurate) MeasureScaled(views, tensor, inaccurate, order, norms);
    }

    /// <summary>(Σ nᵢᵖ)^(1/p), the norm of the norms, which is the norm of all elements together; 0 without any tensor.</summary>
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
        if (!(sum is >= LeastSum and <= MostSum) && pivot > 0 && double.IsFinite(pivot)) return ScaledTotal(norms, order, pivot);
        return order == 2 ? Math.Sqrt(sum) : Math.Pow(sum, 1 / order);
    }

    private static double ScaledTotal(ReadOnlySpan<double> norms, double order, double pivot)
    {
        double sum = 0;
        foreach (double n in norms) sum += Math.Pow(n / pivot, order);
        return pivot * Math.Pow(sum, 1 / order);
    }

    private static void InTensorOps(Func<int, Tensor> tensor, List<int> indices, double order, Span<double> norms)
    {
        var tensors = indices.ConvertAll(i => tensor(i)); // outside the scope: the caller owns them
        using var scope = NewDisposeScope();
        if (tensors.TrueForAll(ForeachNorm.Takes))
        {
            InLists(tensors, indices, order, norms);
            return;
        }
        // Allocated before the large copies: between them, these small tensors would fragment the memory that the copies free.
        var results = tensors.ConvertAll(t => zeros(1, Accumulator(t), t.device)[0]);
        for (int k = 0; k < results.Count; k++) WriteNorm(tensors[k], order, results[k]);
        double[] values = DeviceNumbers.Read(results);
        for (int k = 0; k < values.Length; k++) norms[indices[k]] = values[k];
    }

    private static void InLists(List<Tensor> tensors, List<int> indices, double order, Span<double> norms)
    {
        var lists = Enumerable.Range(0, tensors.Count).GroupBy(k => (tensors[k].device_type, tensors[k].device_index, tensors[k].dtype))
            .Select(list => list.ToArray()).ToList();
        double[] values = DeviceNumbers.ReadAll(lists.ConvertAll(list => ForeachNorm.Of(Array.ConvertAll(list, k => tensors[k]), order)));
        int next = 0;
        foreach (int k in lists.SelectMany(list => list)) norms[indices[k]] = values[next++];
    }

    // Releases its copy of a tensor before the next one is copied.
    private static void WriteNorm(Tensor tensor, double order, Tensor result)
    {
        using var scope = NewDisposeScope();
        if (tensor.numel() > 0) result.copy_(linalg.vector_norm(tensor.to(Accumulator(tensor)), order)); // the largest of no elements is an error
    }

    /// <summary>The dtype in which a tensor's norm is computed.</summary>
    public static ScalarType Accumulator(Tensor tensor) => tensor.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    // Indices of norms whose sums of powers may have overflowed or lost terms that underflowed; null if all are accurate. Those in remaining were
    // computed by tensor operations, all others by kernels.
    private static List<int>? Inaccurate(
        ReadOnlySpan<TensorView> views, List<int>? remaining, Func<int, Tensor> tensor, double order, ReadOnlySpan<double> norms)
    {
        if (order == 0 || double.IsInfinity(order)) return null;
        List<int>? found = null;
        int next = 0;
        for (int i = 0; i < norms.Length; i++)
        {
            bool inTensorOps = remaining is not null && next < remaining.Count && remaining[next] == i;
            if (inTensorOps) next++;
            if (!(inTensorOps ? IsAccurate(norms[i], order, tensor(i)) : IsAccurate(norms[i], order, views[i]))) (found ??= []).Add(i);
        }
        return found;
    }

    // Kernels add in double, where no square of a float underflows.
    private static bool IsAccurate(double norm, double order, in TensorView view) => view.Count == 0 || double.IsNaN(norm)
        || (view.Dtype != ScalarType.Float64 || order == 1 ? norm < double.PositiveInfinity : norm is > 1e-130 and < 1e150);

    // The mean power shows whether the largest terms are normal numbers; the sum of powers must be finite.
    private static bool IsAccurate(double norm, double order, Tensor tensor)
    {
        long count = tensor.numel();
        if (count == 0 || double.IsNaN(norm)) return true;
        bool wide = tensor.dtype == ScalarType.Float64;
        double power = order * Math.Log2(norm);
        return power - Math.Log2(count) >= (wide ? -960 : -100) && power <= (wide ? 1000 : 120);
    }

    // Divides by the element with the largest power, the pivot: the largest element, or the smallest if the order is negative. Then no power overflows
    // in double, and a power that underflows does not matter. If the pivot is 0 or not finite, it is the norm itself, and the tensor is not copied.
    private static void MeasureScaled(ReadOnlySpan<TensorView> views, Func<int, Tensor> tensor, List<int> indices, double order, Span<double> norms)
    {
        var selected = new TensorView[indices.Count];
        for (int k = 0; k < selected.Length; k++) selected[k] = views[indices[k]];
        double[] pivots = new double[selected.Length];
        Measure(selected, k => tensor(indices[k]), order > 0 ? double.PositiveInfinity : double.NegativeInfinity, pivots);
        for (int k = 0; k < pivots.Length; k++) norms[indices[k]] = pivots[k];
        List<int> finite = [];
        for (int k = 0; k < pivots.Length; k++)
            if (double.IsFinite(pivots[k]) && pivots[k] > 0) finite.Add(indices[k]);
        if (finite.Count > 0) MultiplyByScaledNorms(tensor, finite, order, norms);
    }

    /// <summary>‖t‖ = m · ‖t / m‖ for the tensors in <paramref name="indices"/>; <paramref name="norms"/> holds their pivots m at first.</summary>
    private static void MultiplyByScaledNorms(Func<int, Tensor> tensor, List<int> indices, double order, Span<double> norms)
    {
        var tensors = indices.ConvertAll(i => tensor(i));
        using var scope = NewDisposeScope();
        var parts = tensors.ConvertAll(t => zeros(1, KernelSelection.WideDtype(t), t.device)[0]);
        for (int k = 0; k < tensors.Count; k++)
        {
            using var one = NewDisposeScope();
            parts[k].copy_(linalg.vector_norm(tensors[k].to(KernelSelection.WideDtype(tensors[k]), copy: true).div_(Held(norms[indices[k]])), order));
        }
        double[] values = DeviceNumbers.Read(parts);
        for (int k = 0; k < values.Length; k++) norms[indices[k]] *= values[k];
    }
}
