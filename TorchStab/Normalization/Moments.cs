using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Mean and biased variance over some dimensions, in two passes: first the mean, then the squares of the deviations. y = <paramref name="Centred"/> ·
/// <see cref="InverseDeviation"/> is the normalized input.
/// </summary>
/// <remarks>
/// Where squares of finite values overflow or underflow, the moments are computed again: float32 values in float64, and float64 values scaled by a power of
/// two for each mean, which is exact. libtorch's norms give zeros there. Other devices than the CPU do not compute again, because reading the first
/// result would wait for the device in every call.
/// </remarks>
/// <param name="Centred">(Input − mean) · <paramref name="Scale"/>.</param>
/// <param name="Mean">The mean, with reduced dimensions of size 1.</param>
/// <param name="Variance">The biased variance (divided by n), with reduced dimensions of size 1; infinite where it is out of its dtype's range.</param>
/// <param name="Spread">(Variance + eps) · <paramref name="Scale"/>².</param>
/// <param name="Scale">The power of two; null: not scaled.</param>
internal readonly record struct Moments(Tensor Centred, Tensor Mean, Tensor Variance, Tensor Spread, Tensor? Scale)
{
    /// <summary>1/√<see cref="Spread"/>, the factor that normalizes <see cref="Centred"/>.</summary>
    public Tensor InverseDeviation => Spread.rsqrt();

    /// <summary>1/√(variance + eps) of the unscaled input: the factor in the gradient of the input.</summary>
    public Tensor Rate => Scale is null ? InverseDeviation : InverseDeviation * Scale;

    /// <summary>√(variance + eps).</summary>
    public Tensor Deviation => Scale is null ? Spread.sqrt() : Spread.sqrt() / Scale;

    /// <summary>The dtype in which statistics of <paramref name="input"/> are accumulated: float32 for the half types.</summary>
    public static ScalarType Accumulator(Tensor input) => input.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : input.dtype;

    /// <summary>Moments of every value.</summary>
    public static Moments Over(Tensor x, long[] dims, double eps) => Guarded(x, dims, eps, values =>
    {
        var (shifted, shift) = Shift(values, values.detach().mean(dims, keepdim: true));
        var rest = shifted.mean(dims, keepdim: true);
        var centred = shifted - rest;
        return (centred, shift + rest, centred.square().mean(dims, keepdim: true));
    });

    /// <summary>
    /// Weighted moments. The elements of <paramref name="mask"/>, broadcast to the input, are the weights; only zero excludes a value.
    /// If all weights are zero, the mean and the variance are 0.
    /// </summary>
    public static Moments Over(Tensor x, long[] dims, double eps, Tensor mask)
    {
        var counts = mask.detach().to(x.dtype).expand(x.shape).ne(0);
        return Guarded(Clean(x, counts), dims, eps, values =>
        {
            var weight = mask.detach().to(values.dtype).expand(values.shape);
            var total = weight.sum(dims, keepdim: true);
            var share = weight / where(total.eq(0), ones_like(total), total);
            var (shifted, shift) = Shift(values, (values.detach() * share).sum(dims, keepdim: true));
            var rest = (shifted * share).sum(dims, keepdim: true);
            var centred = shifted - rest;
            var counted = where(counts, centred, zeros_like(centred));
            return (centred, shift + rest, (counted.square() * share).sum(dims, keepdim: true));
        });
    }

    /// <summary>Replaces non-finite padding by 0: otherwise 0 · NaN would make gradients NaN.</summary>
    public static Tensor Clean(Tensor x, Tensor counts) => where(counts.logical_or(x.isfinite()), x, zeros_like(x));

    /// <summary>Moments about 0 instead of the mean: the variance is the mean square.</summary>
    public static Moments AboutZero(Tensor x, long[] dims, double eps) =>
        Guarded(x, dims, eps, values => (values, values.new_zeros([]), values.square().mean(dims, keepdim: true)));

    private static Moments Guarded(Tensor x, long[] dims, double eps, Func<Tensor, (Tensor Centred, Tensor Mean, Tensor Variance)> measure)
    {
        var (centred, mean, variance) = measure(x);
        var spread = variance + eps;
        if (x.numel() == 0 || !KernelSelection.IsOnCpu(x) || Holds(spread)) return new(centred, mean, variance, spread, Scale: null);
        if (x.dtype != ScalarType.Float64) return Guarded(x.to(ScalarType.Float64), dims, eps, measure);
        var scale = ScaleFor(x.detach().abs().amax(dims, keepdim: true), spread.detach(), Math.Sqrt(eps));
        (centred, mean, variance) = measure(x * scale);
        return new(centred, mean / scale, variance / scale / scale, variance + (scale * Math.Sqrt(eps)).square(), scale);
    }

    private static bool Holds(Tensor spread)
    {
        using var scope = NewDisposeScope();
        var (least, most) = Range(spread.dtype == ScalarType.Float64);
        var values = spread.detach();
        return values.clamp(least, most).eq(values).all().item<bool>(); // false for NaN
    }

    // Narrower bounds than the kernels': autograd sums gradient · centred before it divides by σ³. The bounds are 2⁻⁴⁴ (below BERT's eps) and 2²⁴ for
    // float32, 2⁻²⁰⁰ and 2²⁰⁰ for float64.
    private static (double Least, double Most) Range(bool wide) => wide ? (6.223015277861142e-61, 1.6069380442589903e60) : (5.684341886080802e-14, 16777216);

    // A power of two that brings the largest deviation to about 1; 1 where the spread is in range already or scaling does not help. A small spread
    // beside a large mean (equal values and a tiny eps) does not come from the magnitude of the values.
    private static Tensor ScaleFor(Tensor largest, Tensor spread, double rootEps)
    {
        const double Small = 1e-29;
        var (least, most) = Range(wide: true);
        double[] scales = largest.contiguous().data<double>().ToArray(), spreads = spread.contiguous().data<double>().ToArray();
        for (int i = 0; i < scales.Length; i++)
        {
            double top = Math.Max(scales[i], rootEps);
            bool needed = !(spreads[i] >= least && spreads[i] <= most) && (!(spreads[i] < 1) || top < Small);
            scales[i] = needed && top > 0 && double.IsFinite(top) ? Math.ScaleB(1, Math.Clamp(-Math.ILogB(top), -1022, 1022)) : 1;
        }
        return tensor(scales, device: CPU).reshape(spread.shape);
    }

    // Beside a large mean the rounding error of the first mean is as large as a small variance. The first mean is therefore a constant shift:
    // the moments of the shifted values are accurate, and a shift does not change their derivatives. An infinite shift would turn an
    // infinite mean into NaN.
    private static (Tensor shifted, Tensor shift) Shift(Tensor x, Tensor shift)
    {
        var finite = shift.nan_to_num(0, 0, 0);
        return (x - finite, finite);
    }
}
