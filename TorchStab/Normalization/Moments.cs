using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Mean and biased variance over some dimensions, in two passes: first the mean, then the squares of what is left.</summary>
/// <param name="Centred">The input less its mean.</param>
/// <param name="Mean">With reduced dimensions kept.</param>
/// <param name="Variance">Biased (divided by n), with reduced dimensions kept.</param>
internal readonly record struct Moments(Tensor Centred, Tensor Mean, Tensor Variance)
{
    /// <summary>The dtype in which statistics of <paramref name="input"/> are accumulated: float32 for the half types.</summary>
    public static ScalarType Accumulator(Tensor input) => input.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : input.dtype;

    /// <summary>Moments of every value.</summary>
    public static Moments Over(Tensor x, long[] dims)
    {
        var (shifted, shift) = Shift(x, x.detach().mean(dims, keepdim: true));
        var rest = shifted.mean(dims, keepdim: true);
        var centred = shifted - rest;
        return new(centred, shift + rest, centred.square().mean(dims, keepdim: true));
    }

    /// <summary>
    /// Moments of the values that <paramref name="mask"/> counts: its elements, broadcast to the input, are weights, and only zero
    /// means absent. Where nothing counts the mean and the variance are 0.
    /// </summary>
    public static Moments Over(Tensor x, long[] dims, Tensor mask)
    {
        var weight = mask.detach().to(x.dtype).expand(x.shape);
        var total = weight.sum(dims, keepdim: true);
        var share = weight / where(total.eq(0), ones_like(total), total);
        var counts = weight.ne(0);
        // Padding may hold anything; what is not a number there must not reach a gradient as 0 · NaN.
        var clean = where(counts.logical_or(x.isfinite()), x, zeros_like(x));
        var (shifted, shift) = Shift(clean, (clean.detach() * share).sum(dims, keepdim: true));
        var rest = (shifted * share).sum(dims, keepdim: true);
        var centred = shifted - rest;
        var counted = where(counts, centred, zeros_like(centred));
        return new(centred, shift + rest, (counted.square() * share).sum(dims, keepdim: true));
    }

    // The rounding of a first mean is as large as a small variance beside a large mean. Taken as a constant shift it costs nothing:
    // the moments of what is left are exact, and so are their derivatives, which no shift changes. An infinite shift would turn an
    // infinite mean into NaN.
    private static (Tensor shifted, Tensor shift) Shift(Tensor x, Tensor shift)
    {
        var finite = shift.nan_to_num(0, 0, 0);
        return (x - finite, finite);
    }
}
