using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>Steps of half types: float32 moments, float32 arithmetic, one rounding. And denominators that are zero, in every dtype.</summary>
public class HalfStepTests
{
    private static readonly Func<IEnumerable<Parameter>, double, ClippingAwareOptimizer>[] Optimizers =
    [
        (p, eps) => stab.optim.Adam(p, 0.01, eps: eps, weight_decay: 0.1),
        (p, eps) => stab.optim.Adam(p, 0.01, eps: eps, amsgrad: true, maximize: true),
        (p, eps) => stab.optim.AdamW(p, 0.01, eps: eps, weight_decay: 0.1, global_clipnorm: 1e-3),
        (p, eps) => stab.optim.AdamW(p, 0.01, eps: eps, amsgrad: true, clipvalue: 1e5),
        (p, _) => stab.optim.SGD(p, 1e-4),
        (p, _) => stab.optim.SGD(p, 1e-4, momentum: 0.9, weight_decay: 0.1, nesterov: true, clipnorm: 0.01),
        (p, eps) => stab.optim.RMSprop(p, 0.01, eps: eps, weight_decay: 0.1),
        (p, eps) => stab.optim.RMSprop(p, 0.01, eps: eps, momentum: 0.9, centered: true),
    ];

    public static TheoryData<int, ScalarType> Halves
    {
        get
        {
            var cases = new TheoryData<int, ScalarType>();
            for (int k = 0; k < Optimizers.Length; k++)
            {
                cases.Add(k, ScalarType.Float16);
                cases.Add(k, ScalarType.BFloat16);
            }
            return cases;
        }
    }

    public static TheoryData<int, ScalarType, ScalarType?> Denominators
    {
        get
        {
            var cases = new TheoryData<int, ScalarType, ScalarType?>();
            foreach (int k in new[] { 0, 1, 6, 7 })
            {
                foreach (var dtype in new[] { ScalarType.Float16, ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float64 }) cases.Add(k, dtype, null);
                cases.Add(k, ScalarType.Float16, ScalarType.Float16);
                cases.Add(k, ScalarType.BFloat16, ScalarType.BFloat16);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Halves))]
    public void A_half_step_is_the_float32_step_rounded_once(int which, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (half, single) = (new Parameter(Values(dtype)), new Parameter(Values(dtype).to(ScalarType.Float32)));
        using var optimizer = Optimizers[which]([half], 1e-8);
        using var exact = Optimizers[which]([single], 1e-8);
        for (int step = 0; step < 6; step++)
        {
            half.grad = Gradient(dtype, step);
            single.grad = half.grad.to(ScalarType.Float32);
            using (KernelForm.TensorOps()) exact.step();
            using (KernelForm.TensorOps()) optimizer.step();
            Assert.False(optimizer.LastStep.Skipped);
            Compare.Identical(single.to(dtype), half, $"step {step}");
            Assert.True(half.isfinite().all().item<bool>());
            using (no_grad()) single.copy_(half);
        }
        foreach (var (expected, actual) in Moments(exact).Zip(Moments(optimizer))) Compare.Identical(expected, actual, "state");
    }

    [Theory]
    [MemberData(nameof(Halves))]
    public void Moments_that_are_asked_to_be_half_are_rounded_once(int which, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (half, single) = (new Parameter(Values(dtype)), new Parameter(Values(dtype).to(ScalarType.Float32)));
        using var optimizer = Optimizers[which]([half], 1e-8);
        using var exact = Optimizers[which]([single], 1e-8);
        optimizer.MomentDtype = dtype;
        for (int step = 0; step < 4; step++)
        {
            half.grad = Gradient(dtype, step) / 256;
            single.grad = half.grad.to(ScalarType.Float32);
            using (KernelForm.TensorOps()) exact.step();
            optimizer.step();
            Compare.Identical(single.to(dtype), half, $"step {step}");
            using var _ = no_grad();
            single.copy_(half);
            foreach (var (wide, narrow) in Moments(exact).Zip(Moments(optimizer)))
            {
                Assert.Equal(dtype, narrow.dtype);
                Compare.Identical(wide.to(dtype), narrow, "state");
                wide.copy_(narrow);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Denominators))]
    public void A_denominator_of_zero_moves_nothing_far(int which, ScalarType dtype, ScalarType? moments)
    {
        using var scope = NewDisposeScope();
        foreach (double eps in new[] { 0, 1e-60, 1e-8 })
            foreach (var form in new Func<KernelForm>[] { () => KernelForm.Kernel(), KernelForm.TensorOps })
            {
                using var _ = form();
                // Zero, squares that vanish in half types, in float32, and ordinary ones.
                var p = new Parameter(zeros(5, dtype));
                using var optimizer = Optimizers[which]([p], eps);
                optimizer.MomentDtype = moments;
                p.grad = tensor(new[] { 0, 1e-4, 1e-25, -3e-38, 0.5 }).to(dtype);
                optimizer.step();
                Assert.True(p.isfinite().all().item<bool>(), $"eps {eps}: {p.to(ScalarType.Float64).npstr()}");
                Assert.Equal(0, p[0].to(ScalarType.Float64).item<double>());
                Assert.True(p.abs().max().to(ScalarType.Float64).item<double>() < 0.2);
                Assert.All(Moments(optimizer), m => Assert.True(m.isfinite().all().item<bool>()));
            }
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void A_file_of_half_moments_loads(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Parameter Half() => new(ones(5, dtype)) { grad = full(5, 0.25, dtype) };
        using var theirs = optim.Adam([Half()], amsgrad: true);
        theirs.step();
        using var narrow = stab.optim.Adam([Half()], amsgrad: true);
        narrow.MomentDtype = dtype;
        narrow.step();
        foreach (Action<BinaryWriter> save in new Action<BinaryWriter>[] { theirs.save_state_dict, narrow.save_state_dict })
        {
            using var file = new MemoryStream();
            save(new BinaryWriter(file));
            foreach (var asked in new ScalarType?[] { null, dtype })
            {
                using var ours = stab.optim.Adam([Half()], amsgrad: true);
                ours.MomentDtype = asked;
                file.Position = 0;
                ours.load_state_dict(new BinaryReader(file));
                Assert.All(Moments(ours), m => Assert.Equal(asked ?? ScalarType.Float32, m.dtype));
                foreach (var (expected, actual) in Moments(narrow).Zip(Moments(ours))) Compare.Close(expected, actual.to(dtype), "moment");
                ours.step();
            }
        }
    }

    [Fact]
    public void Float64_parameters_with_float32_moments_keep_their_digits()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(full(3, 1 + 1e-12, ScalarType.Float64)) { grad = zeros(3, ScalarType.Float64) };
        using var optimizer = stab.optim.Adam([p]);
        optimizer.MomentDtype = ScalarType.Float32;
        optimizer.step();
        Compare.Identical(full(3, 1 + 1e-12, ScalarType.Float64), p, "parameter");
    }

    private static Tensor Values(ScalarType dtype)
    {
        using var generator = new Generator(3);
        return randn(64, generator: generator).to(dtype);
    }

    // Zeros, some whose squares are 0 in float16, some whose squares are infinite there.
    private static Tensor Gradient(ScalarType dtype, int step)
    {
        using var generator = new Generator((ulong)step);
        var g = randn(64, generator: generator);
        g[TensorIndex.Slice(0, 8)] = 0;
        g[TensorIndex.Slice(8, 24)] *= 1e-4;
        g[TensorIndex.Slice(24, 40)] *= 5_000;
        g[40] = 20_000;
        g[41] = -60_000;
        return g.to(dtype);
    }

    private static List<Tensor> Moments(ClippingAwareOptimizer optimizer) => [.. optimizer.state_dict().State.SelectMany(s => ((MomentState)s).Moments())];
}
