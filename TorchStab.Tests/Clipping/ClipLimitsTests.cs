using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Values on the very edge: the last that a rule takes, the last that it leaves alone, and what it says of the next.</summary>
public class ClipLimitsTests
{
    public static TheoryData<string, string, string> Refusals => new()
    {
        { "alpha below", "alpha", "[0, 1), got -0.1" },
        { "alpha NaN", "alpha", "got nan" },
        { "z infinite below", "zThreshold", "got -inf" },
        { "z NaN", "zThreshold", "got nan" },
        { "maxNorm", "maxNorm", "got -2.0" },
        { "percentile below", "percentile", "got -1.0" },
        { "percentile above", "percentile", "got 100.5" },
        { "value", "c", "got -1e+300" },
        { "norm", "c", "got -0.5" },
        { "global", "c", "got nan" },
        { "order", "normType", "got nan" },
        { "eps", "eps", "got -1e-06" },
        { "adaptive eps", "eps", "got -3.0" },
        { "max_norm", "max_norm", "got -inf" },
        { "total order", "norm_type", "got nan" },
        { "agc eps", "eps", "got nan" },
    };

    private static readonly Dictionary<string, Action> Calls = new()
    {
        ["alpha below"] = () => GradientClip.ZScore(alpha: -0.1),
        ["alpha NaN"] = () => GradientClip.ZScore(alpha: double.NaN),
        ["z infinite below"] = () => GradientClip.ZScore(zThreshold: double.NegativeInfinity),
        ["z NaN"] = () => GradientClip.ZScore(zThreshold: double.NaN),
        ["maxNorm"] = () => GradientClip.ZScore(maxNorm: -2),
        ["percentile below"] = () => GradientClip.Percentile(-1),
        ["percentile above"] = () => GradientClip.Percentile(100.5),
        ["value"] = () => GradientClip.ByValue(-1e300),
        ["norm"] = () => GradientClip.ByNorm(-0.5),
        ["global"] = () => GradientClip.ByGlobalNorm(double.NaN),
        ["order"] = () => GradientClip.ByGlobalNorm(1, double.NaN),
        ["eps"] = () => GradientClip.ByGlobalNorm(1, 2, -1e-6),
        ["adaptive eps"] = () => GradientClip.Adaptive(1, -3),
        ["max_norm"] = () => stab.nn.utils.clip_grad_norm_([], double.NegativeInfinity),
        ["total order"] = () => stab.nn.utils.get_total_norm([], double.NaN),
        ["agc eps"] = () => stab.nn.utils.adaptive_clip_grad_([], 0.01, double.NaN),
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void Beyond_its_range_a_value_is_refused_by_name(string call, string argument, string words)
    {
        var error = Assert.Throws<ArgumentException>(Calls[call]);
        Assert.Equal(argument, error.ParamName);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_ends_of_a_range_belong_to_it()
    {
        using var scope = NewDisposeScope();
        GradientClip[] rules =
        [
            GradientClip.ZScore(alpha: 0, warmup: 1, maxNorm: 0), GradientClip.Percentile(0), GradientClip.Percentile(100), GradientClip.Percentile(window: 1),
            GradientClip.ByValue(0), GradientClip.ByNorm(0), GradientClip.ByGlobalNorm(0, eps: 0), GradientClip.ByBlockRms(0), GradientClip.Adaptive(0, 0),
        ];
        foreach (var rule in rules) Assert.Equal(2, rule.Apply([Make.Parameter(full(4, 1.0, ScalarType.Float64))]).GradNorm);
        Assert.NotNull(NonFinitePolicy.Skip(1));
    }

    [Theory]
    [InlineData(5.0, 1.0)]
    [InlineData(4.0, 0.8)]
    public void A_norm_equal_to_the_bound_is_left_alone(double bound, double coefficient)
    {
        using var scope = NewDisposeScope();
        foreach (var clip in new[] { GradientClip.ByNorm(bound), GradientClip.ByGlobalNorm(bound, 2, 0),
            GradientClip.ByGlobalNorm(bound, double.PositiveInfinity, 0) })
        {
            bool largest = clip.Order > 2;
            var p = Make.Parameter(tensor(largest ? new[] { 1.0, 5.0 } : [3.0, 4.0]));
            var before = p.grad!.clone();
            var report = clip.Apply([p]);
            Assert.Equal(coefficient, report.Coefficient, Tolerance.Float64);
            Assert.Equal(coefficient < 1, report.Clipped);
            Compare.Close(before * coefficient, p.grad, "gradient");
        }
    }

    [Fact]
    public void Value_and_block_rms_leave_alone_what_is_at_the_bound()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(tensor(new[] { 2.0, -2.0, 2.0, 2.0 }));
        Assert.Equal(new StepReport { GradNorm = 4 }, GradientClip.ByValue(2).Apply([p]));
        Assert.Equal(new StepReport { GradNorm = 4 }, GradientClip.ByBlockRms(2).Apply([p]));
        Assert.Equal(new StepReport { GradNorm = 4, Coefficient = 0.5, Clipped = true }, GradientClip.ByValue(1).Apply([p]));
        Compare.Identical(tensor(new[] { 1.0, -1.0, 1.0, 1.0 }), p.grad!, "gradient");
    }

    [Fact]
    public void A_value_rule_reports_the_largest_element_beyond_its_bound_wherever_it_is()
    {
        using var scope = NewDisposeScope();
        Parameter[] parameters = [Make.Parameter(tensor(new[] { 3.0, 1.0 })), Make.Parameter(tensor(new[] { 0.1, 0.1 })),
            Make.Parameter(tensor(new[] { -8.0, 1.0 }))];
        Assert.Equal(0.25, GradientClip.ByValue(2).Apply(parameters).Coefficient, Tolerance.Float64);
        // A norm beyond the bound of which no element is.
        var near = Make.Parameter(full(16, 1.5, ScalarType.Float64));
        Assert.False(GradientClip.ByValue(2).Apply([near]).Clipped);
    }

    [Fact]
    public void Per_parameter_rules_report_the_smallest_factor()
    {
        using var scope = NewDisposeScope();
        Parameter[] parameters = [Make.Parameter(tensor(new[] { 3.0, 4.0 })), Make.Parameter(tensor(new[] { 6.0, 8.0 })),
            Make.Parameter(tensor(new[] { 0.3, 0.4 }))];
        var report = GradientClip.ByNorm(1).Apply(parameters);
        Assert.Equal(0.1, report.Coefficient, Tolerance.Float64);
        Compare.Close(tensor(new[] { 0.6, 0.8 }), parameters[0].grad, "first");
        Compare.Close(tensor(new[] { 0.6, 0.8 }), parameters[1].grad, "second");
        Compare.Close(tensor(new[] { 0.3, 0.4 }), parameters[2].grad, "third");
    }

    [Theory]
    [InlineData(-1.0)]
    [InlineData(-2.0)]
    [InlineData(0.5)]
    [InlineData(4.0)]
    public void The_total_norm_is_the_norm_of_the_norms(double order)
    {
        using var scope = NewDisposeScope();
        Tensor[] tensors = [randn(3, 4, ScalarType.Float64), randn(5, ScalarType.Float64), randn(2, 2, ScalarType.Float64)];
        double expected = linalg.vector_norm(stack(tensors.Select(t => linalg.vector_norm(t, order))), order).item<double>();
        Assert.Equal(expected, stab.nn.utils.get_total_norm(tensors, order), Tolerance.Float64 * expected);
    }

    [Theory]
    [InlineData(2.0)]
    [InlineData(3.0)]
    [InlineData(0.5)]
    public void Norms_whose_powers_overflow_add_up_all_the_same(double order)
    {
        using var scope = NewDisposeScope();
        Tensor[] tensors = [full(1, 3e300, ScalarType.Float64), full(1, 4e300, ScalarType.Float64)];
        double expected = 1e300 * Math.Pow(Math.Pow(3, order) + Math.Pow(4, order), 1 / order);
        Assert.Equal(1, stab.nn.utils.get_total_norm(tensors, order) / expected, Tolerance.Float64);
    }

    [Fact]
    public void Zeros_count_in_the_norm_of_order_zero_as_PyTorch_counts_them()
    {
        using var scope = NewDisposeScope();
        Tensor[] tensors = [tensor(new[] { 0.0, 2.0 }), zeros(3, ScalarType.Float64), tensor(new[] { 1.0 })];
        Assert.Equal(2, stab.nn.utils.get_total_norm(tensors, 0));
    }

    [Fact]
    public void Nothing_may_be_null()
    {
        Assert.Throws<ArgumentNullException>("tensors", () => stab.nn.utils.get_total_norm(null!));
        Assert.Throws<ArgumentException>("tensors", () => stab.nn.utils.get_total_norm([null!]));
        Assert.Throws<ArgumentException>("parameters", () => stab.nn.utils.clip_grad_value_([null!], 1));
        Assert.Throws<ArgumentNullException>("parameters", () => GradientClip.ByNorm(1).Apply(null!));
    }
}
