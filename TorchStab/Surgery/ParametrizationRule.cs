using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A way to compute a weight: its name, what stands against it for a layer's weight (null: nothing), and how to make it.</summary>
internal sealed record ParametrizationRule(string Word, Func<nn.Module, Parameter, string?> Obstacle, Func<nn.Module, Parameter, Parametrization> Make)
{
    public static ParametrizationRule WeightNorm(long? dim) => new("weight_norm", (_, w) => NoSuch(dim, w), (_, w) => new WeightNorm(w, dim));

    public static ParametrizationRule SpectralNorm(long n_power_iterations, double eps, long? dim)
    {
        if (n_power_iterations < 1)
            throw new ArgumentOutOfRangeException(nameof(n_power_iterations),
                FormattableString.Invariant($"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"));
        if (!(eps >= 0 && eps <= float.MaxValue))
            throw new ArgumentOutOfRangeException(nameof(eps), $"expected a finite number of at least 0 that float32 can hold, got {Repr.Of(eps)}");
        return new("spectral_norm", (_, w) => NoSuch(dim, w) ?? (w.numel() == 0 ? "it has no elements" : null),
            (layer, w) => new SpectralNorm(w, n_power_iterations, eps, dim ?? (layer is Convolution { transposed: true } ? 1 : 0)));
    }

    private static string? NoSuch(long? dim, Parameter weight) => !weight.is_floating_point()
        ? $"its weight is of {weight.dtype}; expected a real floating-point dtype"
        : dim is { } d && (d < 0 || d >= weight.dim())
            ? FormattableString.Invariant($"dim {d} is out of range: its weight of shape {Repr.Size(weight)} has the dimensions 0 to {weight.dim() - 1}")
        : null;
}
