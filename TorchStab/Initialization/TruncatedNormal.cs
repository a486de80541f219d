using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// A normal distribution cut off at two bounds, by inversion: one uniform number for each element. Where the bounds leave a part of the
/// distribution that the dtype's uniform numbers resolve, these are PyTorch's steps, bit for bit; where they leave a tail or a sliver, the
/// inversion is done in float64 by <see cref="NormalTail"/>.
/// </summary>
internal static class TruncatedNormal
{
    public static Tensor Fill(Tensor tensor, double mean, double std, double a, double b, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (std == 0) throw new ArgumentException("float division by zero: trunc_normal_ divides by std; for a constant take constant_", nameof(std));
        if (!double.IsFinite(std)) throw new ArgumentException($"std must be finite, got {InitArguments.Cpp(std)}", nameof(std));
        if (!double.IsFinite(mean)) throw new ArgumentException($"mean must be finite, got {InitArguments.Cpp(mean)}", nameof(mean));
        if (tensor.is_complex()) throw new ArgumentException($"\"erfinv\" not implemented for '{tensor.dtype}': a real tensor is needed", nameof(tensor));
        var (low, high) = Quantiles((a - mean) / std, (b - mean) / std);
        InitArguments.RequireUniform(tensor, low, high, std < 0 ? nameof(std) : nameof(a), nameof(b));
        InitArguments.RequireOrdered(a, b, std);
        InitArguments.RequireFits(tensor, std * Math.Sqrt(2.0), nameof(std));
        InitArguments.RequireFits(tensor, mean, nameof(mean));
        InitArguments.RequireFits(tensor, a, nameof(a));
        InitArguments.RequireFits(tensor, b, nameof(b));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        Draw(tensor, mean, std, (a, b), (low, high), generator);
        return tensor;
    }

    private static void Draw(Tensor tensor, double mean, double std, (double a, double b) bounds, (double low, double high) quantiles, Generator? generator)
    {
        var dtype = tensor.dtype;
        double largest = finfo(dtype).max;
        var (least, most) = DtypeGrid.Within(dtype, Math.Max(bounds.a, -largest), Math.Min(bounds.b, largest));
        var (working, narrowest, reach) = dtype == ScalarType.Float64 ? Double : Single;
        bool resolved = quantiles.high - quantiles.low >= narrowest;
        if (!resolved) working = ScalarType.Float64;
        var drawn = working == dtype ? tensor : empty(tensor.shape, working, tensor.device);
        if (resolved)
        {
            Uniform.Draw(drawn, quantiles.low, quantiles.high, generator);
            drawn.erfinv_().mul_(std * Math.Sqrt(2.0)).add_(mean).clamp_(Math.Max(least, mean - reach * std), Math.Min(most, mean + reach * std));
        }
        else
        {
            NormalTail.Draw(drawn, mean, std, bounds, quantiles, generator);
            drawn.clamp_(least, most);
        }

        if (!ReferenceEquals(drawn, tensor)) tensor.copy_(drawn);
    }

    // What is drawn in (half types in float32, rounded once); the narrowest interval of ±1 that its uniform numbers cut into a million parts;
    // and, in deviations, how far a number next to ±1 is inverted to. Uniform numbers do round to ±1, and erf⁻¹(±1) is infinite: that last cell,
    // one number of 2²⁴ (2⁵³), ends here, where PyTorch's ends at the bound, however far away that is.
    private static readonly (ScalarType, double, double) Single = (ScalarType.Float32, 1.0 / 32, 5.54), Double = (ScalarType.Float64, 1e-6, 8.38);

    /// <summary>Where the inverse error function lands on the bounds: 2Φ(low) − 1 and 2Φ(high) − 1, rounded as PyTorch rounds them.</summary>
    private static (double low, double high) Quantiles(double low, double high)
    {
        using var scope = NewDisposeScope();
        var erf = special.erf(tensor(new[] { low / Math.Sqrt(2.0), high / Math.Sqrt(2.0) }, device: CPU)).data<double>();
        return (Quantile(erf[0]), Quantile(erf[1]));
    }

    private static double Quantile(double erf) => 2 * ((1.0 + erf) / 2.0) - 1;
}
