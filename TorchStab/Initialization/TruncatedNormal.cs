using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>
/// A normal distribution truncated at two bounds, by inversion: one uniform number for each element. If the dtype's uniform numbers resolve the part of the
/// distribution between the bounds, the steps are PyTorch's, bit for bit. If the bounds contain only a tail or a narrow interval,
/// <see cref="NormalTail"/> inverts in float64.
/// </summary>
internal static class TruncatedNormal
{
    public static Tensor Fill(Tensor tensor, double mean, double std, double a, double b, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (std == 0) throw new ArgumentException("float division by zero: trunc_normal_ divides by std; for a constant use constant_", nameof(std));
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
        var device = working == ScalarType.Float64 && KernelSelection.WideDtype(tensor) != working ? CPU : tensor.device;
        var drawn = working == dtype ? tensor : empty(tensor.shape, working, device);
        if (resolved)
        {
            Uniform.Draw(drawn, quantiles.low, quantiles.high, generator);
            drawn.erfinv_().mul_(Held(std * Math.Sqrt(2.0))).add_(Held(mean), One)
                .clamp_(Held(Math.Max(least, mean - reach * std)), Held(Math.Min(most, mean + reach * std)));
        }
        else
        {
            NormalTail.Draw(drawn, mean, std, bounds, quantiles, generator);
            drawn.clamp_(Held(least), Held(most));
        }

        if (!ReferenceEquals(drawn, tensor)) tensor.copy_(drawn);
    }

    // The dtype of the draw (float32 for half types, which are rounded once); the narrowest interval within ±1 that its uniform numbers divide into about
    // a million parts; and the largest result in deviations, that of the number next to ±1. A uniform number may round to ±1, where erf⁻¹ is infinite:
    // this number, one of 2²⁴ (2⁵³), gives the largest result here. In PyTorch it gives the bound, however far away the bound is.
    private static readonly (ScalarType, double, double) Single = (ScalarType.Float32, 1.0 / 32, 5.54), Double = (ScalarType.Float64, 1e-6, 8.38);

    /// <summary>The numbers that the inverse error function maps to the bounds: 2Φ(low) − 1 and 2Φ(high) − 1, rounded as PyTorch rounds them.</summary>
    private static (double low, double high) Quantiles(double low, double high)
    {
        using var scope = NewDisposeScope();
        var erf = special.erf(tensor(new[] { low / Math.Sqrt(2.0), high / Math.Sqrt(2.0) }, device: CPU)).data<double>();
        return (Quantile(erf[0]), Quantile(erf[1]));
    }

    private static double Quantile(double erf) => 2 * ((1.0 + erf) / 2.0) - 1;
}
