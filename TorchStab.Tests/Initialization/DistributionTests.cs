using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>Mean, variance, bounds and the whole distribution (Kolmogorov–Smirnov) of every random scheme, in both float types.</summary>
public class DistributionTests
{
    private const long Out = 300, In = 400;

    public static TheoryData<string, ScalarType> Schemes
    {
        get
        {
            var data = new TheoryData<string, ScalarType>();
            foreach (string name in Expected.Keys)
                foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 }) data.Add(name, dtype);
            return data;
        }
    }

    /// <summary>What each scheme draws from: the shape of the distribution and its standard deviation.</summary>
    private static readonly Dictionary<string, (Func<Tensor, Tensor> fill, string shape, double std)> Expected = new()
    {
        ["uniform_"] = (t => stab.nn.init.uniform_(t, -3, 3), "uniform", Math.Sqrt(3)),
        ["normal_"] = (t => stab.nn.init.normal_(t, 0, 0.3), "normal", 0.3),
        ["trunc_normal_"] = (t => stab.nn.init.trunc_normal_(t, 0, 0.5, -1, 1), "truncated", 0.5 * 0.87962566103423978),
        ["xavier_uniform_"] = (t => stab.nn.init.xavier_uniform_(t), "uniform", Math.Sqrt(2.0 / (In + Out))),
        ["xavier_normal_"] = (t => stab.nn.init.xavier_normal_(t, 2), "normal", 2 * Math.Sqrt(2.0 / (In + Out))),
        ["glorot_uniform_"] = (t => stab.nn.init.glorot_uniform_(t), "uniform", Math.Sqrt(2.0 / (In + Out))),
        ["glorot_normal_"] = (t => stab.nn.init.glorot_normal_(t), "normal", Math.Sqrt(2.0 / (In + Out))),
        ["kaiming_uniform_"] = (t => stab.nn.init.kaiming_uniform_(t), "uniform", Math.Sqrt(2.0 / In)),
        ["kaiming_normal_"] = (t => stab.nn.init.kaiming_normal_(t, mode: FanMode.FanOut, nonlinearity: Nonlinearity.ReLU), "normal", Math.Sqrt(2.0 / Out)),
        ["he_uniform_"] = (t => stab.nn.init.he_uniform_(t, 0.2), "uniform", Math.Sqrt(2.0 / 1.04 / In)),
        ["he_normal_"] = (t => stab.nn.init.he_normal_(t), "normal", Math.Sqrt(2.0 / In)),
        ["lecun_uniform_"] = (t => stab.nn.init.lecun_uniform_(t), "uniform", Math.Sqrt(1.0 / In)),
        ["lecun_normal_"] = (t => stab.nn.init.lecun_normal_(t), "truncated", Math.Sqrt(1.0 / In)),
        ["variance_scaling_ fan-in truncated"] = (t => stab.nn.init.variance_scaling_(t, 2), "truncated", Math.Sqrt(2.0 / In)),
        ["variance_scaling_ fan-out normal"] =
            (t => stab.nn.init.variance_scaling_(t, 3, FanMode.FanOut, InitDistribution.Normal), "normal", Math.Sqrt(3.0 / Out)),
        ["variance_scaling_ fan-avg uniform"] =
            (t => stab.nn.init.variance_scaling_(t, 1, FanMode.FanAvg, InitDistribution.Uniform), "uniform", Math.Sqrt(2.0 / (In + Out))),
    };

    [Theory, MemberData(nameof(Schemes))]
    public void Draws_from_its_distribution(string scheme, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        manual_seed(20);
        var (fill, shape, std) = Expected[scheme];
        var w = fill(empty(Out, In, dtype));
        var (mean, measured) = Statistics.Moments(w);
        Assert.InRange(mean / std, -Tolerance.SampleStd, Tolerance.SampleStd);
        Assert.InRange(measured / std - 1, -Tolerance.SampleStd, Tolerance.SampleStd);
        Assert.InRange(w.abs().max().to(ScalarType.Float64).item<double>() / std, 0, Bound(shape) * (1 + Tolerance.Float32));
        Assert.InRange(Statistics.KolmogorovSmirnov(w, Cdf(shape, std)), 0, Tolerance.KolmogorovSmirnov);
    }

    /// <summary>TorchSharp 0.107.0's xavier_normal_ draws uniform numbers; this test would have told.</summary>
    [Fact]
    public void TorchSharps_own_xavier_normal_fails_this_test()
    {
        using var scope = NewDisposeScope();
        manual_seed(20);
        var w = nn.init.xavier_normal_(empty(Out, In));
        Assert.True(Statistics.KolmogorovSmirnov(w, Cdf("normal", Math.Sqrt(2.0 / (In + Out)))) > 3 * Tolerance.KolmogorovSmirnov);
    }

    /// <summary>TorchSharp 0.107.0's trunc_normal_ fills one constant.</summary>
    [Fact]
    public void TorchSharps_own_trunc_normal_is_a_constant()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(0, Statistics.Moments(nn.init.trunc_normal_(empty(Out, In))).std);
    }

    [Fact]
    public void Truncation_off_the_mean_follows_the_formula()
    {
        using var scope = NewDisposeScope();
        manual_seed(21);
        var w = stab.nn.init.trunc_normal_(empty(200_000, ScalarType.Float64), mean: 1, std: 2, a: 0, b: 1.5);
        Assert.InRange(w.min().item<double>(), 0, 1.5);
        Assert.InRange(w.max().item<double>(), 0, 1.5);
        Tensor Cdf(Tensor x) => Statistics.NormalCdf((x - 1) / 2);
        var (low, high) = (Cdf(tensor(0.0)), Cdf(tensor(1.5)));
        Assert.InRange(Statistics.KolmogorovSmirnov(w, x => (Cdf(x) - low) / (high - low)), 0, Tolerance.KolmogorovSmirnov);
    }

    private static double Bound(string shape) => shape switch
    {
        "uniform" => Math.Sqrt(3),
        "truncated" => 2 / 0.87962566103423978,
        _ => double.PositiveInfinity,
    };

    private static Func<Tensor, Tensor> Cdf(string shape, double std) => shape switch
    {
        "uniform" => x => (x / (2 * Math.Sqrt(3) * std) + 0.5).clamp(0, 1),
        "normal" => x => Statistics.NormalCdf(x / std),
        _ => x => (Statistics.NormalCdf(x * 0.87962566103423978 / std) - 0.022750131948179195) / (1 - 2 * 0.022750131948179195),
    };
}
