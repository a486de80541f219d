using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>Truncated normals of every dtype with bounds near, far, one-sided, in the tails and close together.</summary>
public class TruncatedNormalTests
{
    private const double Infinity = double.PositiveInfinity;

    public static TheoryData<double, double, double, double> Bounds => new()
    {
        { 0, 0.02, -2, 2 }, { 0, 1, -2, 2 }, { 1, 2, 0, 1.5 }, { 0, 1, -Infinity, Infinity },
        { 0, 1, -Infinity, 0.5 }, { 0, 1, 0.5, Infinity }, { 0, 1, -Infinity, -1 }, { 0, 1, 2.5, Infinity },
        { 0, 1, 3, 4 }, { 0, 1, 4, 6 }, { 0, 1, 9, 20 }, { 0, 1, -20, -9 }, { 0, 1, 5, Infinity }, { 0, 1, -Infinity, -7 }, { 0, 1, 38, Infinity },
        { 0, 0.1, 0, Infinity }, { 0, 1, 1, 1.01 }, { 0, 1, -0.02, 0.03 }, { 0, 1, 0, 0.01 }, { 0, 1, 1.5, 1.9 },
        { 1000, 1, -2, 2 }, { -1000, 30, -2, 2 }, { 5, 0.01, -2, 2 },
    };

    [Theory, MemberData(nameof(Bounds))]
    public void Follows_the_formula_between_its_bounds(double mean, double std, double a, double b)
    {
        using var scope = NewDisposeScope();
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            manual_seed(7);
            var w = Within(stab.nn.init.trunc_normal_(empty(100, 300, dtype), mean, std, a, b), a, b);
            Assert.InRange(Statistics.KolmogorovSmirnov(w, x => Cdf(x, mean, std, a, b)), 0, Tolerance.KolmogorovSmirnov);
        }
    }

    /// <summary>Half types round, which Kolmogorov–Smirnov would see: the sample must be a float64 one rounded, as mean and deviation tell.</summary>
    [Theory, MemberData(nameof(Bounds))]
    public void Half_types_are_drawn_finely_and_rounded_within_the_bounds(double mean, double std, double a, double b)
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        var (expected, deviation) = Statistics.Moments(stab.nn.init.trunc_normal_(empty(100, 300, ScalarType.Float64), mean, std, a, b));
        foreach (var dtype in new[] { ScalarType.BFloat16, ScalarType.Float16 })
        {
            var w = Within(stab.nn.init.trunc_normal_(empty(100, 300, dtype), mean, std, a, b), a, b);
            var (measured, spread) = Statistics.Moments(w);
            double step = finfo(dtype).eps * Math.Max(Math.Abs(expected), deviation);
            Assert.InRange(measured - expected, -(step + 2 * Tolerance.SampleStd * deviation), step + 2 * Tolerance.SampleStd * deviation);
            if (step < deviation / 10) Assert.InRange(spread / deviation, 1 - 3 * Tolerance.SampleStd, 1 + 3 * Tolerance.SampleStd);
        }
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.Float32)]
    public void Bounds_that_the_dtype_does_not_hold_are_not_stepped_over(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        foreach (var (a, b) in new[] { (-0.1, 0.1), (0.3, 0.7), (-1.0 / 3, -1e-3), (0.1, 0.101) })
            Within(stab.nn.init.trunc_normal_(empty(200_000, dtype), 0, 1, a, b), a, b);
        Assert.Equal(0.1, stab.nn.init.trunc_normal_(empty(8, dtype), 0, 1, 0.1, 0.1).to(ScalarType.Float64).max().item<double>(), finfo(dtype).eps);
        Assert.Equal(3.0, stab.nn.init.trunc_normal_(empty(8, dtype), 0, 1, 3, 3).to(ScalarType.Float64).min().item<double>());
    }

    /// <summary>
    /// The first of these seeds whose float32 numbers of U(−1, 1) hold a −1, whose inverse is infinite: PyTorch puts it on the bound, 100σ away.
    /// </summary>
    [Fact]
    public void A_uniform_number_that_rounds_to_minus_1_is_no_outlier()
    {
        using var scope = NewDisposeScope();
        const long n = 1 << 23;
        long seed = Enumerable.Range(1, 20).First(s => empty(n).uniform_(-1, 1, new Generator((ulong)s)).min().item<float>() == -1);
        using var generator = new Generator((ulong)seed);
        var w = stab.nn.init.trunc_normal_(empty(n), 0, 0.02, generator: generator);
        Assert.InRange(w.min().item<float>(), -0.02 * 5.6, -0.02 * 5.5);
        using var again = new Generator((ulong)seed);
        var theirs = empty(n).uniform_(-1, 1, again).erfinv_().mul_(0.02 * Math.Sqrt(2)).add_(0).clamp_(-2, 2);
        Assert.Equal(1, w.ne(theirs).sum().item<long>()); // and nothing else differs
        Assert.Equal(-2, theirs.min().item<float>());
    }

    [Fact]
    public void Far_tails_keep_their_digits()
    {
        using var scope = NewDisposeScope();
        manual_seed(10);
        var far = stab.nn.init.trunc_normal_(empty(100_000, ScalarType.Float64), -1e8, 1, 0, 1);
        var (mean, std) = Statistics.Moments(far * 1e8); // exponential of mean 1/1e8
        Assert.InRange(mean, 1 - 2 * Tolerance.SampleStd, 1 + 2 * Tolerance.SampleStd);
        Assert.InRange(std, 1 - 2 * Tolerance.SampleStd, 1 + 2 * Tolerance.SampleStd);
        foreach (var (m, s, a, b) in new[] { (0.0, 1e-310, 1.0, 2.0), (0, 1e-200, 1, Infinity), (1e300, 1.0, -2, 2), (-1e300, 1e-5, -Infinity, Infinity),
            (0, 1, 1e-20, 2e-20) })
            Assert.True(Within(stab.nn.init.trunc_normal_(empty(64, ScalarType.Float64), m, s, a, b), a, b).isfinite().all().item<bool>());
    }

    [Fact]
    public void Values_beyond_the_dtype_end_at_its_largest()
    {
        using var scope = NewDisposeScope();
        foreach (var (dtype, std) in new[] { (ScalarType.Float16, 45000.0), (ScalarType.Float32, 2e38), (ScalarType.BFloat16, 2e38),
            (ScalarType.Float64, 1e308) })
            foreach (double a in new[] { -Infinity, 0 })
                Assert.True(stab.nn.init.trunc_normal_(empty(4000, dtype), 0, std, a, Infinity).isfinite().all().item<bool>());
    }

    [Fact]
    public void Schemes_over_it_have_their_deviation_in_half_types()
    {
        using var scope = NewDisposeScope();
        manual_seed(11);
        foreach (var dtype in new[] { ScalarType.BFloat16, ScalarType.Float16 })
        {
            var (_, std) = Statistics.Moments(stab.nn.init.lecun_normal_(empty(300, 400, dtype)));
            Assert.InRange(std * Math.Sqrt(400), 1 - Tolerance.SampleStd, 1 + Tolerance.SampleStd);
            var vit = stab.nn.init.trunc_normal_(empty(768, 768, dtype), std: 0.02);
            Assert.InRange(Statistics.Moments(vit).std / 0.02, 1 - Tolerance.SampleStd, 1 + Tolerance.SampleStd);
            Assert.InRange(vit.abs().max().to(ScalarType.Float64).item<double>(), 0, 0.02 * 6);
        }
    }

    [Fact]
    public void Bounds_without_a_number_between_them_are_refused_in_the_tails_too()
    {
        using var scope = NewDisposeScope();
        var tensor = ones(4);
        Assert.Throws<ArgumentException>("a", () => stab.nn.init.trunc_normal_(tensor, 0, 1, 20, 9));
        Assert.Throws<ArgumentException>("a", () => stab.nn.init.trunc_normal_(tensor, 0, 1, Infinity, Infinity));
        Assert.Throws<ArgumentException>("b", () => stab.nn.init.trunc_normal_(tensor, 0, 1, -Infinity, -Infinity));
        Assert.Throws<ArgumentException>("std", () => stab.nn.init.trunc_normal_(tensor, 0, -1, 9, 20));
        Assert.Throws<ArgumentException>("a", () => stab.nn.init.trunc_normal_(tensor, 0, 1, double.NaN, 1));
        Assert.True(tensor.eq(1).all().item<bool>());
    }

    [Fact]
    public void Nothing_leaks_and_layouts_stay()
    {
        using var half = empty(8, 6, ScalarType.BFloat16);
        using var turned = empty(8, 6).t();
        LiveTensors.AssertNoneLeft(() => stab.nn.init.trunc_normal_(half, 0, 0.02));
        LiveTensors.AssertNoneLeft(() => stab.nn.init.trunc_normal_(turned, 0, 1, 9, 20));
        Assert.Equal([1L, 6], turned.stride());
        using var w = new TorchSharp.Modules.Parameter(empty(8, 6, ScalarType.Float16));
        Assert.Same(w, stab.nn.init.trunc_normal_(w, 0, 1, 5, 6));
        Assert.True(w.requires_grad && w.is_leaf);
    }

    private static Tensor Within(Tensor w, double a, double b)
    {
        var values = w.to(ScalarType.Float64);
        Assert.True(values.min().item<double>() >= a && values.max().item<double>() <= b,
            $"[{values.min().item<double>():r}, {values.max().item<double>():r}] leaves [{a:r}, {b:r}]");
        return w;
    }

    // By the ratio of the tails on the side where both bounds are, else by Φ.
    private static Tensor Cdf(Tensor x, double mean, double std, double a, double b)
    {
        var (z, low, high) = ((x - mean) / std, (a - mean) / std, (b - mean) / std);
        if (low >= 0) return Tail(z, low, high);
        if (high <= 0) return 1 - Tail(-z, -high, -low);
        double from = Statistics.NormalCdf(tensor(low)).item<double>(), to = Statistics.NormalCdf(tensor(high)).item<double>();
        return (Statistics.NormalCdf(z) - from) / (to - from);

        static Tensor Tail(Tensor z, double low, double high)
        {
            double start = LogTail(tensor(low)).item<double>(), all = double.IsInfinity(high) ? 1
                : -special.expm1(LogTail(tensor(high)) - start).item<double>();
            return -special.expm1(LogTail(z) - start) / all;
        }

        // log Q: by erfc where it is a normal number, beyond by the continued fraction of Mills' ratio.
        static Tensor LogTail(Tensor z)
        {
            var mills = z.clone();
            for (int k = 40; k > 0; k--) mills = z + k / mills;
            return where(z < 20, (special.erfc(z / Math.Sqrt(2)) / 2).log(), -z.square() / 2 - (mills * Math.Sqrt(2 * Math.PI)).log());
        }
    }
}
