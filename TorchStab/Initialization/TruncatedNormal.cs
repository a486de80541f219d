using static TorchSharp.torch;

namespace TorchStab.Initialization;

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
        InitArguments.RequireFits(tensor, std * Math.Sqrt(2.0), nameof(std));
        InitArguments.RequireFits(tensor, mean, nameof(mean));
        InitArguments.RequireFits(tensor, a, nameof(a));
        InitArguments.RequireFits(tensor, b, nameof(b));
        using var _ = no_grad();
        Uniform.Draw(tensor, low, high, generator);
        return tensor.erfinv_().mul_(std * Math.Sqrt(2.0)).add_(mean).clamp_(a, b);
    }

    /// <summary>Where the inverse error function lands on the bounds: 2Φ(low) − 1 and 2Φ(high) − 1, rounded as PyTorch rounds them.</summary>
    private static (double low, double high) Quantiles(double low, double high)
    {
        using var scope = NewDisposeScope();
        var erf = special.erf(tensor(new[] { low / Math.Sqrt(2.0), high / Math.Sqrt(2.0) })).data<double>();
        return (Quantile(erf[0]), Quantile(erf[1]));
    }

    private static double Quantile(double erf) => 2 * ((1.0 + erf) / 2.0) - 1;
}
