using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>Tests of a sample against a distribution; seeds are fixed, so a pass stays a pass.</summary>
internal static class Statistics
{
    /// <summary>Φ, elementwise in double.</summary>
    public static Tensor NormalCdf(Tensor x) => special.ndtr(x);

    /// <summary>Kolmogorov–Smirnov: √n · sup |F_n − F|. Beyond 1.95 once in a thousand samples of the right distribution.</summary>
    public static double KolmogorovSmirnov(Tensor sample, Func<Tensor, Tensor> cdf)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var sorted = sample.detach().flatten().to(ScalarType.Float64).sort().Values;
        long n = sorted.NumberOfElements;
        var expected = cdf(sorted);
        var above = (arange(1, n + 1, ScalarType.Float64) / n - expected).abs().max().item<double>();
        var below = (arange(0, n, ScalarType.Float64) / n - expected).abs().max().item<double>();
        return Math.Max(above, below) * Math.Sqrt(n);
    }

    public static (double mean, double std) Moments(Tensor sample)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var s = sample.detach().to(ScalarType.Float64);
        return (s.mean().item<double>(), s.std(unbiased: false).item<double>());
    }
}
