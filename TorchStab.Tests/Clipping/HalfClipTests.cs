using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Factors and bounds that a half type cannot hold, and some that float32 cannot: applied in a wider dtype, rounded once.</summary>
public class HalfClipTests
{
    public static TheoryData<ScalarType, double> Bounds
    {
        get
        {
            var cases = new TheoryData<ScalarType, double>();
            foreach (var dtype in new[] { ScalarType.Float16, ScalarType.BFloat16, ScalarType.Float32 })
                foreach (double c in new[] { 1e-6, 1e-3, 1e-2, 0.3, 1000, 70_000, 1e39, double.PositiveInfinity }) cases.Add(dtype, c);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Bounds))]
    public void Clipped_gradients_are_the_exact_ones_rounded_once(ScalarType dtype, double c)
    {
        using var scope = NewDisposeScope();
        for (int rule = 0; rule < Make.Rules(1).Length; rule++)
        {
            List<Parameter> inPlace = Parameters(dtype), stepped = Parameters(dtype), written = Parameters(dtype), exact = [.. inPlace.Select(Exact)];
            var expected = Make.Rules(c)[rule].Apply(exact);
            var report = Make.Rules(c)[rule].Apply(inPlace);
            using var wrapper = stab.optim.ClippedOptimizer(optim.SGD(stepped, 0), Make.Rules(c)[rule]);
            wrapper.step();
            using var own = stab.optim.SGD(written, 0);
            (own.Clip, own.WriteBackClippedGrads) = (Make.Rules(c)[rule], true);
            own.step();
            Assert.Equal(expected.Coefficient, report.Coefficient, Tolerance.Float32 * expected.Coefficient);
            Assert.Equal(report, wrapper.LastStep);
            for (int i = 0; i < exact.Count; i++)
            {
                Rounded(exact[i].grad!, inPlace[i].grad!, $"rule {rule}, parameter {i}");
                Compare.Identical(inPlace[i].grad!, stepped[i].grad!, "in a wrapper");
                Compare.Identical(inPlace[i].grad!, written[i].grad!, "written back");
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.Float16, 6e4, 1e-4)]
    [InlineData(ScalarType.BFloat16, 3e38, 1e-3)]
    [InlineData(ScalarType.Float32, 3e38, 1e-6)]
    public void A_step_uses_the_exact_factor(ScalarType dtype, double gradient, double c)
    {
        using var scope = NewDisposeScope();
        var factors = new[] { GradientClip.ByGlobalNorm(c), GradientClip.ByNorm(c), GradientClip.ByGlobalNorm(c, double.PositiveInfinity),
            GradientClip.ByBlockRms(c), GradientClip.ZScore(maxNorm: c), GradientClip.Adaptive(c) };
        foreach (var clip in factors)
        {
            var p = new Parameter(zeros(1, dtype)) { grad = full(1, gradient, dtype) };
            using var optimizer = stab.optim.SGD([p], 1);
            optimizer.Clip = clip;
            optimizer.step();
            double bound = clip == factors[^1] ? c * 1e-3 : c; // of weights of zero, which count as 1e-3
            Assert.Equal(-bound, p.to(ScalarType.Float64).item<double>(),
                Math.Max(bound * Tolerance.Of(dtype), dtype == ScalarType.Float16 ? SmallestHalf / 2 : 0));
        }
    }

    [Fact]
    public void PyTorch_functions_clip_mixed_models_by_one_factor()
    {
        using var scope = NewDisposeScope();
        var mixed = new[] { ScalarType.Float16, ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float64 }.Select(t => Make.Parameter(full(5, 60_000, t)))
            .ToList();
        foreach (double bound in new[] { 1e5, 65_504, 1e39, 1e300, double.PositiveInfinity })
        {
            stab.nn.utils.clip_grad_value_(mixed, bound);
            Assert.All(mixed, p => Compare.Close(full(5, 60_000.0, ScalarType.Float64), p.grad!.to(ScalarType.Float64), "untouched", Tolerance.BFloat16));
        }
        double norm = stab.nn.utils.clip_grad_norm_(mixed, 1e-3);
        Assert.All(mixed, p => Assert.Equal(60_000 * 1e-3 / norm, p.grad![0].to(ScalarType.Float64).item<double>(), 60_000 * 1e-3 / norm * Tolerance.BFloat16));
        foreach (var p in mixed) p.grad = full(5, 60_000, p.dtype);
        stab.nn.utils.clip_grads_with_norm_(mixed, 1e-3, norm);
        Assert.All(mixed, p => Assert.True(p.grad!.max().to(ScalarType.Float64).item<double>() > 0));
    }

    [Fact]
    public void Adaptive_clipping_of_gradients_whose_squares_overflow_keeps_them()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(ones(2, 2)) { grad = tensor(new[,] { { 3e25f, 4e25f }, { 1e-3f, 0 } }) };
        stab.nn.utils.adaptive_clip_grad_([p], 0.1);
        Compare.Close(tensor(new[,] { { 0.6f, 0.8f }, { 1e-3f / 0.1f / MathF.Sqrt(2), 0 } }) * (0.1f * MathF.Sqrt(2)), p.grad, "gradient");
    }

    [Fact]
    public void Infinite_gradients_are_told_without_a_copy()
    {
        using var scope = NewDisposeScope();
        foreach (var dtype in new[] { ScalarType.Float16, ScalarType.Float32, ScalarType.Float64 })
        {
            Tensor[] tensors = [full(4, double.PositiveInfinity, dtype), tensor(new[] { 1, double.NegativeInfinity }).to(dtype), full(3, 2.0, dtype),
                tensor(new[] { double.PositiveInfinity, double.NaN }).to(dtype)];
            Assert.Equal([double.PositiveInfinity, double.PositiveInfinity], tensors[..2].Select(t => stab.nn.utils.get_total_norm([t])));
            Assert.Equal(Math.Sqrt(12), stab.nn.utils.get_total_norm([tensors[2]]), Tolerance.Float32);
            Assert.True(double.IsNaN(stab.nn.utils.get_total_norm(tensors)));
            Assert.Equal(double.PositiveInfinity, stab.nn.utils.get_total_norm(tensors[..3]));
        }
    }

    private const double SmallestHalf = 5.9604644775390625e-8;

    private static List<Parameter> Parameters(ScalarType dtype)
    {
        using var generator = new Generator(11);
        var large = randn(6, 5, generator: generator) * 9_000;
        large[0, 0] = 60_000;
        return [.. new[] { large, randn(33, generator: generator) * 1e-3, randn([], generator: generator),
            zeros(4) }.Select(t => new Parameter(ones_like(t).to(dtype)) { grad = t.to(dtype) })];
    }

    private static Parameter Exact(Parameter p) => new(p.detach().to(ScalarType.Float64)) { grad = p.grad!.to(ScalarType.Float64) };

    // The factor is computed from a norm in float32, and applied in float32: half an ulp from rounding, and a little.
    private static void Rounded(Tensor exact, Tensor actual, string what)
    {
        var e = exact.to(ScalarType.Float64);
        double relative = actual.dtype switch { ScalarType.Float16 => 1.0 / 2048, ScalarType.BFloat16 => 1.0 / 256, _ => 0 } + Tolerance.Float32;
        double smallest = actual.dtype == ScalarType.Float16 ? SmallestHalf / 2 : 0;
        var excess = (actual.to(ScalarType.Float64) - e).abs() - e.abs() * relative;
        Assert.True(excess.max().item<double>() <= smallest * (1 + Tolerance.Float32), $"{what}: {excess.max().item<double>():g3} beyond rounding");
    }
}
