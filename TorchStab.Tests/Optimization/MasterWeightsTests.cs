using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>float32 master copies: the steps of a half-precision parameter are those of a float32 parameter, rounded once.</summary>
public class MasterWeightsTests
{
    private static readonly Func<IEnumerable<Parameter>, bool, ClippingAwareOptimizer>[] Optimizers =
    [
        (p, m) => stab.optim.Adam(p, 0.01, weight_decay: 0.1, amsgrad: true, global_clipnorm: 1, master_weights: m),
        (p, m) => stab.optim.Adam(p, 0.01, maximize: true, clipvalue: 0.3, master_weights: m),
        (p, m) => stab.optim.AdamW(p, 0.01, weight_decay: 0.1, clipnorm: 0.5, master_weights: m),
        (p, m) => stab.optim.SGD(p, 1e-3, master_weights: m),
        (p, m) => stab.optim.SGD(p, 1e-3, weight_decay: 0.1, maximize: true, global_clipnorm: 1, master_weights: m),
        (p, m) => stab.optim.SGD(p, 1e-3, momentum: 0.9, dampening: 0.2, weight_decay: 0.1, master_weights: m),
        (p, m) => stab.optim.SGD(p, 1e-3, momentum: 0.9, nesterov: true, clipnorm: 0.5, master_weights: m),
        (p, m) => stab.optim.RMSprop(p, 0.01, weight_decay: 0.1, master_weights: m),
        (p, m) => stab.optim.RMSprop(p, 0.01, momentum: 0.5, centered: true, global_clipnorm: 1, master_weights: m),
    ];

    public static TheoryData<int, ScalarType, bool> Cases
    {
        get
        {
            var cases = new TheoryData<int, ScalarType, bool>();
            for (int k = 0; k < Optimizers.Length; k++)
                foreach (var (dtype, kernels) in new[] { (ScalarType.BFloat16, true), (ScalarType.BFloat16, false), (ScalarType.Float16, true),
                    (ScalarType.Float16, false) }) cases.Add(k, dtype, kernels);
            return cases;
        }
    }

    public static TheoryData<ScalarType, bool> Forms => new()
    {
        { ScalarType.BFloat16, true }, { ScalarType.BFloat16, false }, { ScalarType.Float16, true }, { ScalarType.Float16, false },
    };

    /// <summary>1 − 5e-5 is 1 in bfloat16, whose neighbours of 1 are 2⁻⁸ and 2⁻⁷ away.</summary>
    [Fact]
    public void Steps_below_half_a_unit_add_up()
    {
        using var scope = NewDisposeScope();
        Parameter New(ScalarType dtype) => new(ones(19, dtype)) { grad = ones(19, dtype) };
        Parameter pure = New(ScalarType.BFloat16), single = New(ScalarType.Float32), half = New(ScalarType.BFloat16);
        using var lost = stab.optim.SGD([pure], 5e-5);
        using var exact = stab.optim.SGD([single], 5e-5);
        using var optimizer = stab.optim.SGD([half], 5e-5, master_weights: true);
        for (int step = 0; step < 1000; step++)
        {
            lost.step();
            exact.step();
            optimizer.step();
        }
        Compare.Identical(ones(19, ScalarType.BFloat16), pure, "without master weights");
        Compare.Identical(single, Master(optimizer), "master");
        Compare.Identical(single.to(ScalarType.BFloat16), half, "parameter");
        Assert.Equal(0.95, half[0].ToDouble(), 2e-3); // 1000 · 5e-5 less, within half a unit of bfloat16
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_run_is_the_float32_run_rounded(int which, ScalarType dtype, bool kernels)
    {
        using var scope = NewDisposeScope();
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        List<Parameter> half = StepFormsTests.Parameters(dtype), single = half.ConvertAll(p => new Parameter(p.detach().to(ScalarType.Float32)));
        using var optimizer = Optimizers[which](half, true);
        using var exact = Optimizers[which](single, true);
        for (int step = 0; step < 12; step++)
        {
            StepFormsTests.Gradients(half, step);
            for (int i = 0; i < half.Count; i++) single[i].grad = half[i].grad?.to(ScalarType.Float32);
            exact.step();
            optimizer.step();
            Assert.Equal(exact.LastStep.GradNorm, optimizer.LastStep.GradNorm);
            for (int i = 0; i < half.Count; i++)
            {
                Compare.Identical(single[i], Master(optimizer, i), $"master {i}, step {step}");
                Compare.Identical(single[i].to(dtype), half[i], $"parameter {i}, step {step}");
            }
        }
        foreach (var (expected, actual) in Moments(exact).Zip(Moments(optimizer))) Compare.Identical(expected, actual, "moment");
        Assert.All(exact.state_dict().State, s => Assert.Null(((MomentState)s).master_param));
    }

    /// <summary>Also without kernels' contiguous memory, and with moments that are narrower or wider than the copy.</summary>
    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void Moments_of_another_dtype_leave_the_copy_float32(ScalarType moments)
    {
        using var scope = NewDisposeScope();
        foreach (var make in Optimizers)
        {
            var half = StepFormsTests.Parameters(ScalarType.BFloat16);
            using var optimizer = make(half, true);
            optimizer.MomentDtype = moments;
            for (int step = 0; step < 3; step++)
            {
                StepFormsTests.Gradients(half, step);
                optimizer.step();
                for (int i = 0; i < half.Count; i++)
                {
                    Assert.Equal(ScalarType.Float32, Master(optimizer, i).dtype);
                    Compare.Identical(Master(optimizer, i).to(ScalarType.BFloat16), half[i], $"parameter {i}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void What_is_written_into_a_parameter_replaces_the_copy(ScalarType dtype, bool kernels)
    {
        using var scope = NewDisposeScope();
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        foreach (var make in Optimizers)
        {
            var half = new Parameter(full(40, 1.5, dtype));
            using var optimizer = make([half], true);
            Step(optimizer, half, 1e-3);
            using (no_grad()) half[TensorIndex.Slice(10, 25)] = -3;
            var expected = Master(optimizer).clone();
            expected[TensorIndex.Slice(10, 25)] = -3;
            using var other = make([new Parameter(expected)], false);
            other.load_state_dict(optimizer.state_dict());
            Step(optimizer, half, 1.0 / 1024); // the same number in every dtype
            Step(other, other.parameters().Single(), 1.0 / 1024);
            Compare.Identical(other.parameters().Single(), Master(optimizer), "master");
            Compare.Identical(Master(optimizer).to(dtype), half, "parameter");
            using (no_grad()) half.fill_(double.NaN);
            Step(optimizer, half, 1e-3);
            Assert.True(half.isnan().all().item<bool>());
        }
    }

    [Fact]
    public void A_loaded_model_is_not_undone_by_the_next_step()
    {
        using var scope = NewDisposeScope();
        var (network, other) = (Make.Network(1, ScalarType.BFloat16), Make.Network(2, ScalarType.BFloat16));
        using var optimizer = stab.optim.AdamW(network.parameters(), 1e-4, master_weights: true);
        Make.Backward(network, 1, ScalarType.BFloat16);
        optimizer.step();
        network.load_state_dict(other.state_dict());
        optimizer.step();
        foreach (var (p, q) in network.parameters().Zip(other.parameters()))
            Assert.True((p - q).abs().max().ToDouble() <= 0.01, "the old weights are back"); // a step of 1e-4, and half a unit of bfloat16
        stab.nn.init.zeros_(network.parameters().First());
        optimizer.step();
        Assert.True(network.parameters().First().abs().max().ToDouble() < 1e-3);
    }

    [Fact]
    public void Groups_say_whether_they_have_copies()
    {
        using var scope = NewDisposeScope();
        Parameter New(ScalarType dtype) => Make.Parameter(full(3, 0.25, dtype));
        Parameter a = New(ScalarType.BFloat16), b = New(ScalarType.BFloat16), c = New(ScalarType.Float16), d = New(ScalarType.Float32),
            e = New(ScalarType.Float64);
        using var optimizer = stab.optim.Adam([new TorchStab.Modules.Adam.ParamGroup([a]), new([b], master_weights: false)], master_weights: true);
        optimizer.add_param_group(new TorchStab.Modules.Adam.ParamGroup([c, d, e]));
        bool[] Copies() => [.. optimizer.state_dict().State.Select(s => ((MomentState)s).master_param is not null)];
        Assert.Equal([true, false, true, false, false], Copies());
        optimizer.step();
        Assert.Equal([true, false, true, false, false], Copies());
        var options = optimizer.ParamGroups.Select(g => ((TorchStab.Modules.Adam.ParamGroup)g).Options).ToList();
        (options[0].master_weights, options[1].master_weights) = (false, true);
        optimizer.step();
        Assert.Equal([false, true, true, false, false], Copies());
        Compare.Identical(Master(optimizer, 1).to(ScalarType.BFloat16), b, "parameter");
        using var plain = stab.optim.Adam([a]);
        Assert.Null(((MomentState)plain.state_dict().State[0]).master_param);
    }

    [Fact]
    public void A_copy_that_does_not_fit_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(3, ScalarType.BFloat16));
        using var optimizer = stab.optim.SGD([p], 0.1, master_weights: true);
        var state = (MomentState)optimizer.state_dict().State[0];
        var good = state.master_param!;
        foreach (var (bad, words) in new[] { (ones(4), "expected master_param of shape [3], got [4]"),
            (ones(3, ScalarType.Float64), "expected master_param of Float32, got Float64") })
        {
            state.master_param = bad;
            Assert.Contains(words, Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message, StringComparison.Ordinal);
        }
        Compare.Identical(ones(3, ScalarType.BFloat16), p, "parameter");
        state.master_param = good;
        optimizer.step();
        Assert.Equal(0.8984375, p[0].ToDouble()); // 0.9 rounded
    }

    private static void Step(ClippingAwareOptimizer optimizer, Parameter p, double gradient)
    {
        p.grad = full_like(p, gradient);
        optimizer.step();
    }

    internal static Tensor Master(ClippingAwareOptimizer optimizer, int i = 0) => ((MomentState)optimizer.state_dict().State[i]).master_param!;

    private static List<Tensor> Moments(ClippingAwareOptimizer optimizer) =>
        [.. optimizer.state_dict().State.Cast<MomentState>().SelectMany(s => s.Moments().Where(m => !ReferenceEquals(m, s.master_param)))];
}
