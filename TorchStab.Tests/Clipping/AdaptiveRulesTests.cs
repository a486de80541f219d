using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Rules that follow the weights or past norms, against their papers' formulas in plain arithmetic.</summary>
public class AdaptiveRulesTests
{
    [Fact]
    public void Block_rms_follows_its_formula()
    {
        using var scope = NewDisposeScope();
        var g = randn(6, 4, ScalarType.Float64);
        var p = Make.Parameter(g.clone());
        double rms = g.pow(2).mean().sqrt().item<double>();
        var report = GradientClip.ByBlockRms(0.5).Apply([p]);
        Compare.Close(g / Math.Max(1, rms / 0.5), p.grad, "gradient");
        Assert.True(report.Clipped);
    }

    [Fact]
    public void Adaptive_leaves_out_what_the_filter_names()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        var before = network.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        using var optimizer = stab.optim.SGD(network.named_parameters(), 1);
        optimizer.Clip = GradientClip.Adaptive(1e-6, exclude: (name, _) => name!.StartsWith("last", StringComparison.Ordinal));
        Make.Backward(network, 2);
        optimizer.step();
        foreach (var (name, p) in network.named_parameters())
        {
            double moved = (p - before[name]).norm().item<double>();
            if (name.StartsWith("last", StringComparison.Ordinal)) Assert.Equal(p.grad!.norm().item<double>(), moved, Tolerance.Float64);
            else Assert.True(moved <= 2e-6 * Math.Max(before[name].norm().item<double>(), 1), name);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(2.0)]
    public void ZScore_follows_ZClip(double? maxNorm)
    {
        const int Warmup = 5;
        var clip = GradientClip.ZScore(0.9, 2, Warmup, maxNorm);
        var seen = new List<double>();
        double mean = 0, variance = 0;
        int spikes = 0;
        for (int step = 0; step < 60; step++)
        {
            double norm = 1 + 0.1 * Math.Sin(step) + (step % 11 == 10 ? 5 : 0);
            double fed = norm;
            if (step >= Warmup)
            {
                double z = (norm - mean) / (Math.Sqrt(variance) + 1e-6);
                if (z > 2) (fed, spikes) = (mean + 2 * Math.Sqrt(variance) / (z / 2), spikes + 1);
            }
            double bound = Math.Min(fed, maxNorm ?? double.PositiveInfinity);
            Check(clip, norm, norm > bound ? bound / (norm + 1e-6) : 1);
            seen.Add(norm);
            if (step == Warmup - 1)
            {
                mean = seen.Average();
                variance = seen.Average(n => (n - mean) * (n - mean));
            }
            if (step < Warmup) continue;
            mean = 0.9 * mean + 0.1 * fed;
            variance = 0.9 * variance + 0.1 * (fed - mean) * (fed - mean);
        }
        Assert.True(spikes >= 5);
    }

    [Fact]
    public void Percentile_follows_AutoClip_over_a_bounded_window()
    {
        var clip = GradientClip.Percentile(25, 8);
        var seen = new List<double>();
        for (int step = 0; step < 40; step++)
        {
            double norm = 1 + (step * 7 % 13);
            seen.Add(norm);
            double[] window = [.. seen.TakeLast(8).Order()];
            double at = 0.25 * (window.Length - 1);
            double bound = window[(int)at] + (at - (int)at) * (window[Math.Min((int)at + 1, window.Length - 1)] - window[(int)at]);
            Check(clip, norm, Math.Min(1, bound / (norm + 1e-6)));
        }
    }

    [Fact]
    public void A_norm_that_is_not_finite_does_not_enter_a_memory()
    {
        using var scope = NewDisposeScope();
        foreach (var clip in new[] { GradientClip.Percentile(50, 4), GradientClip.ZScore(warmup: 2) })
        {
            for (int i = 0; i < 4; i++) clip.Apply([Make.Parameter(ones(1))]);
            clip.Apply([Make.Parameter(full(1, double.NaN))]);
            Assert.Equal(1, clip.Apply([Make.Parameter(ones(1))]).Coefficient, Tolerance.Float32);
        }
    }

    [Fact]
    public void Values_outside_their_range_are_refused()
    {
        Assert.Equal("alpha", Assert.Throws<ArgumentException>(() => GradientClip.ZScore(alpha: 1)).ParamName);
        Assert.Equal("zThreshold", Assert.Throws<ArgumentException>(() => GradientClip.ZScore(zThreshold: 0)).ParamName);
        Assert.Equal("warmup", Assert.Throws<ArgumentException>(() => GradientClip.ZScore(warmup: 0)).ParamName);
        Assert.Equal("percentile", Assert.Throws<ArgumentException>(() => GradientClip.Percentile(101)).ParamName);
        Assert.Equal("window", Assert.Throws<ArgumentException>(() => GradientClip.Percentile(window: 0)).ParamName);
        Assert.Equal("c", Assert.Throws<ArgumentException>(() => GradientClip.ByBlockRms(-1)).ParamName);
        Assert.Equal("clipping", Assert.Throws<ArgumentException>(() => GradientClip.Adaptive(-1)).ParamName);
        Assert.Equal("maxConsecutive", Assert.Throws<ArgumentException>(() => NonFinitePolicy.Skip(0)).ParamName);
    }

    private static void Check(GradientClip clip, double norm, double coefficient)
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(1, norm, ScalarType.Float64));
        Assert.Equal(coefficient, clip.Apply([p]).Coefficient, Tolerance.Float64);
        Assert.Equal(norm * coefficient, p.grad!.item<double>(), Tolerance.Float64);
    }
}
