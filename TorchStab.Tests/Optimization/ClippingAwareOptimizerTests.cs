using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Optimization;

public class ClippingAwareOptimizerTests
{
    public static TheoryData<string> Kinds => [.. Make.Optimizers.Keys];

    public static TheoryData<string, bool> KindsByUnit
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string kind in Make.Optimizers.Keys)
                foreach (bool byUnit in new[] { false, true }) data.Add(kind, byUnit);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(KindsByUnit))]
    public void A_step_is_clip_then_step(string kind, bool byUnit)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var b = Make.Network(1);
        using var clipping = Make.Optimizers[kind](a.named_parameters());
        using var plain = Make.Optimizers[kind](b.named_parameters());
        clipping.Clip = byUnit ? GradientClip.Adaptive(0.01) : GradientClip.ByGlobalNorm(0.01);
        for (int step = 0; step < 5; step++)
        {
            Step(clipping, a, step);
            plain.zero_grad();
            Make.Backward(b, step);
            double norm = byUnit ? GradientClip.Adaptive(0.01).Apply(b.parameters()).GradNorm : stab.nn.utils.clip_grad_norm_(b.parameters(), 0.01);
            plain.step();
            Assert.Equal(norm, clipping.LastStep.GradNorm, Tolerance.Float64);
            Assert.True(clipping.LastStep is { Clipped: true, Coefficient: < 1 });
        }
        AssertSame(a, b);
        Assert.Equal(new StepCounters(5, 5, 0), clipping.Counters);
    }

    [Fact]
    public void A_rule_may_change_between_two_steps()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(1, 4f));
        using var optimizer = stab.optim.SGD([p], 1, global_clipnorm: 1);
        optimizer.step();
        Compare.Close(zeros(1), p, "clipped to 1");
        optimizer.Clip = GradientClip.ByValue(2);
        ((TorchStab.Modules.SGD.ParamGroup)optimizer.ParamGroups.Single()).Options.global_clipnorm = null;
        optimizer.step();
        Compare.Close(full(1, -2f), p, "clipped to 2");
        optimizer.Clip = null;
        optimizer.step();
        Compare.Close(full(1, -6f), p, "not clipped");
    }

    [Fact]
    public void Gradients_are_read_and_only_written_back_when_asked()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(4, 3.0));
        using var optimizer = stab.optim.SGD([p], 1, global_clipnorm: 1);
        optimizer.step();
        Compare.Identical(full(4, 3.0), p.grad!, "read only");
        Compare.Close(full(4, 0.5), p, "parameter");
        optimizer.WriteBackClippedGrads = true;
        optimizer.step();
        Compare.Close(full(4, 0.5), p.grad, "written back");
        Compare.Close(zeros(4), p, "parameter");
    }

    [Fact]
    public void Kerass_thresholds_follow_Keras()
    {
        using var scope = NewDisposeScope();
        Tensor[] gradients = [full(4, 2.0, ScalarType.Float64), full(1, 0.3, ScalarType.Float64)]; // norms 4 and 0.3
        double total = Math.Sqrt(16.09);
        Check([0.5, 0.3], 0.25, p => stab.optim.SGD(p, 1, clipnorm: 1));
        Check([2 / total, 0.3 / total], 1 / total, p => stab.optim.SGD(p, 1, global_clipnorm: 1));
        Check([1, 0.3], 0.5, p => stab.optim.SGD(p, 1, clipvalue: 1));

        void Check(double[] expected, double coefficient, Func<Parameter[], TorchStab.Modules.SGD> make)
        {
            Parameter[] parameters = [.. gradients.Select(g => Make.Parameter(g.clone()))];
            using var optimizer = make(parameters);
            optimizer.step();
            Assert.Equal(total, optimizer.LastStep.GradNorm, Tolerance.Float64);
            Assert.Equal(coefficient, optimizer.LastStep.Coefficient, Tolerance.Float64);
            for (int i = 0; i < 2; i++) Assert.Equal(1 - expected[i], parameters[i][0].item<double>(), Tolerance.Float64);
        }
    }

    [Fact]
    public void Two_thresholds_at_once_are_refused_in_Kerass_words()
    {
        using var scope = NewDisposeScope();
        var error = Assert.Throws<ArgumentException>(() => stab.optim.Adam([Make.Parameter(ones(1))], clipnorm: 1, global_clipnorm: 1e15));
        Assert.Contains("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. "
            + "Received: clipnorm=1.0, clipvalue=None, global_clipnorm=1000000000000000.0", error.Message);
    }

    [Fact]
    public void Constructors_refuse_in_PyTorchs_words()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(1));
        Refused("Invalid learning rate: -1.0", () => stab.optim.Adam([p], -1));
        Refused("Invalid epsilon value: -1.0", () => stab.optim.AdamW([p], eps: -1));
        Refused("Invalid beta parameter at index 0: 1.0", () => stab.optim.Adam([p], beta1: 1));
        Refused("Invalid beta parameter at index 1: nan", () => stab.optim.Adam([p], beta2: double.NaN));
        Refused("Invalid weight_decay value: -0.1", () => stab.optim.SGD([p], 1, weight_decay: -0.1));
        Refused("Invalid momentum value: -0.5", () => stab.optim.SGD([p], 1, -0.5));
        Refused("Nesterov momentum requires a momentum and zero dampening", () => stab.optim.SGD([p], 1, nesterov: true));
        Refused("Invalid alpha value: -1.0", () => stab.optim.RMSprop([p], alpha: -1));
        Refused("optimizer got an empty parameter list", () => stab.optim.Adam(Array.Empty<Parameter>()));
        Refused("optimizer got an empty parameter list", () => stab.optim.Adam(Array.Empty<TorchStab.Modules.Adam.ParamGroup>()));
        Refused("optimizer contains a parameter group with duplicate parameters", () => stab.optim.Adam([p, p]));
        Refused("some parameters appear in more than one parameter group",
            () => stab.optim.SGD([new TorchStab.Modules.SGD.ParamGroup([p]), new TorchStab.Modules.SGD.ParamGroup([p])], 1));
        Refused("can't optimize a non-leaf Tensor", () => stab.optim.Adam([new Parameter(ones(1, requires_grad: true) * 2)]));
        Refused("at least 0", () => stab.optim.Adam([p], clipnorm: -1));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Accumulating_is_the_large_batch(string kind)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var b = Make.Network(1);
        using var many = Make.Optimizers[kind](a.named_parameters());
        using var one = Make.Optimizers[kind](b.named_parameters());
        many.Clip = one.Clip = GradientClip.ByGlobalNorm(0.01);
        many.accumulate(4);
        for (int step = 0; step < 3; step++)
        {
            var (x, w) = (randn(8, 4, ScalarType.Float64), randn(8, 3, ScalarType.Float64));
            for (int k = 0; k < 4; k++)
            {
                many.zero_grad();
                a.call(x.narrow(0, 2 * k, 2)).mul(w.narrow(0, 2 * k, 2)).mean().backward();
                many.step();
            }
            one.zero_grad();
            b.call(x).mul(w).mean().backward();
            one.step();
            Assert.Equal(one.LastStep.GradNorm, many.LastStep.GradNorm, Tolerance.Accumulation);
        }
        foreach (var (p, q) in a.parameters().Zip(b.parameters())) Compare.Close(q, p, "parameter", Tolerance.Accumulation);
        Assert.Equal(3, many.Counters.Steps);
        Assert.Throws<ArgumentException>(() => many.accumulate(0));
    }

    [Fact]
    public void Idle_parameters_stay_under_momentum()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(2));
        using var optimizer = stab.optim.SGD([p], 0.1, momentum: 0.9);
        optimizer.step();
        optimizer.zero_grad();
        Assert.Null(p.grad);
        var before = p.detach().clone();
        optimizer.step();
        Compare.Identical(before, p, "idle");
        p.grad = ones(2);
        optimizer.zero_grad(set_to_none: false);
        Compare.Identical(zeros(2), p.grad!, "zeroed");
    }

    [Fact]
    public void A_closure_is_called_once_with_gradients_on()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(2));
        using var optimizer = stab.optim.Adam([p]);
        int calls = 0;
        using var off = no_grad();
        var loss = optimizer.step(() =>
        {
            calls++;
            optimizer.zero_grad();
            var l = (p * tensor(new[] { 2f, 3f })).sum();
            l.backward();
            return l;
        });
        Assert.Equal(1, calls);
        Assert.Equal(5f, loss.item<float>());
        Compare.Close(tensor(new[] { 2f, 3f }), p.grad, "gradient");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void No_tensor_is_left_and_Dispose_frees_all(string kind)
    {
        using var network = Make.Network(1);
        Make.Backward(network, 1);
        LiveTensors.AssertNoneLeft(() =>
        {
            using var optimizer = Make.Optimizers[kind](network.named_parameters());
            using (NewDisposeScope()) optimizer.step();
            optimizer.step();
        });
        using var kept = Make.Optimizers[kind](network.named_parameters());
        LiveTensors.AssertNoneLeft(() =>
        {
            kept.step();
            kept.zero_grad();
            Make.Backward(network, 1);
        });
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Half_parameters_may_have_wide_moments(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var half = new Parameter(ones(3, dtype)) { grad = tensor(new[] { 1e-4f, 0, -1 }).to(dtype) };
        using var optimizer = stab.optim.Adam([half], 0.125);
        optimizer.MomentDtype = ScalarType.Float32;
        optimizer.step();
        var state = (TorchStab.Modules.Adam.State)optimizer.state_dict().State[0];
        Assert.Equal(ScalarType.Float32, state.exp_avg.dtype);
        Assert.Equal(dtype, half.dtype);
        Compare.Close(tensor(new[] { 0.875f, 1, 1.125f }).to(dtype), half, "parameter");
    }

    internal static void Step(optim.Optimizer optimizer, Sequential network, int seed)
    {
        optimizer.zero_grad();
        Make.Backward(network, seed);
        optimizer.step();
    }

    internal static void AssertSame(nn.Module a, nn.Module b)
    {
        foreach (var (p, q) in a.parameters().Zip(b.parameters())) Compare.Close(q, p, "parameter");
    }
}
