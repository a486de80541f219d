using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

public class LsuvTests
{
    private static TorchSharp.Modules.Sequential NewModel() => Sequential(
        ("conv", Conv2d(3, 8, 3)), ("relu", ReLU()), ("bn", stab.nn.BatchNorm2d(8)), ("flat", Flatten()), ("fc", Linear(8 * 36, 40)), ("tanh", Tanh()),
        ("drop", Dropout(0.5)), ("out", Linear(40, 10)));

    [Fact]
    public void Every_output_has_unit_variance()
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using var model = NewModel();
        var batch = randn(64, 3, 8, 8) * 5 + 1;
        var report = stab.nn.init.lsuv_(model, batch, tol: 1e-3);
        Assert.Equal(["conv", "fc", "out"], report.Entries.Select(e => e.Layer));
        Assert.All(report.Entries, e => Assert.True(e.Converged && Math.Abs(e.VarianceAfter - 1) <= 1e-3, e.ToString()));
        Assert.Empty(report.Unreached);
        Assert.Contains("variance before", report.ToString(), StringComparison.Ordinal);
        // Measured again from outside, layer by layer.
        model.eval();
        var x = batch;
        foreach (var (name, layer) in model.named_children())
        {
            x = ((Module<Tensor, Tensor>)layer).call(x);
            if (layer is TorchSharp.Modules.Linear or TorchSharp.Modules.Conv2d) Assert.InRange(x.var(unbiased: false).item<float>(), 1 - 2e-3, 1 + 2e-3);
        }
    }

    [Fact]
    public void Weights_stay_orthogonal_up_to_scale_and_biases_zero()
    {
        using var scope = NewDisposeScope();
        using var model = NewModel();
        stab.nn.init.lsuv_(model, randn(32, 3, 8, 8));
        var state = model.state_dict();
        var w = state["fc.weight"];
        var gram = w.mm(w.t());
        Compare.Close(eye(40), gram / gram[0, 0], "orthogonal");
        Assert.True(state["fc.bias"].eq(0).all().item<bool>());
    }

    [Fact]
    public void Modes_hooks_statistics_and_flags_are_as_before()
    {
        using var scope = NewDisposeScope();
        using var model = NewModel();
        var children = model.named_children().Select(c => c.module).ToList();
        children[2].eval();
        var flags = model.parameters().Select(p => (p.Handle, p.requires_grad)).ToList();
        stab.nn.init.lsuv_(model, randn(16, 3, 8, 8));
        Assert.True(model.training && children[0].training && !children[2].training);
        Assert.True(model.state_dict()["bn.running_mean"].eq(0).all().item<bool>());
        Assert.Equal(flags, model.parameters().Select(p => (p.Handle, p.requires_grad)));
        Assert.True(is_grad_enabled());
        // A hook left behind would rescale again and hand on another tensor.
        var weight = model.state_dict()["conv.weight"].clone();
        model.call(randn(16, 3, 8, 8) * 100);
        Compare.Identical(weight, model.state_dict()["conv.weight"], "weight");
    }

    [Fact]
    public void Custom_modules_are_reached_through_call_and_the_rest_is_listed()
    {
        using var model = new Custom();
        var report = stab.nn.init.lsuv_(model, rand(50, 6));
        Assert.Equal(["called"], report.Entries.Select(e => e.Layer));
        Assert.Equal(["forwarded"], report.Unreached);
        Assert.Contains("not reached: forwarded", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Any_signature_runs_through_an_action()
    {
        using var scope = NewDisposeScope();
        using var model = NewModel();
        var batch = randn(16, 3, 8, 8);
        Assert.Equal(3, stab.nn.init.lsuv_(model, () => model.call(batch)).Entries.Count);
    }

    [Fact]
    public void Constant_output_is_reported_as_not_converged()
    {
        using var model = Linear(4, 4);
        using var batch = zeros(8, 4);
        var entry = stab.nn.init.lsuv_(model, batch).Entries.Single();
        Assert.Equal((false, 0, 0.0), (entry.Converged, entry.Iterations, entry.VarianceAfter));
        Assert.Contains("NO", new LsuvReport([entry], []).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_linear_layer_takes_one_division_and_the_report_has_the_biased_variance()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        using var model = Linear(6, 4, dtype: ScalarType.Float64);
        var batch = randn(8, 6, ScalarType.Float64) * 3;
        var entry = stab.nn.init.lsuv_(model, batch, tol: 1e-9, max_iterations: 1).Entries.Single();
        Assert.Equal(("Linear", 1, true), (entry.Layer, entry.Iterations, entry.Converged));
        Assert.Equal(1, entry.VarianceAfter, Tolerance.Float64);
        Assert.Equal(1, Variance(model.call(batch)), Tolerance.Float64);
        var again = stab.nn.init.lsuv_(model, batch, tol: 1e3).Entries.Single();
        Assert.Equal((0, true), (again.Iterations, again.Converged));
        Assert.Equal(Variance(model.call(batch)), again.VarianceBefore, Tolerance.Float64);
        Assert.Equal(1, stab.nn.init.lsuv_(model, batch, tol: 1e-9).Entries.Single().Iterations);
    }

    [Fact]
    public void Nothing_may_be_missing()
    {
        using var scope = NewDisposeScope();
        using var model = Linear(3, 3);
        Assert.Equal("model", Assert.Throws<ArgumentNullException>(() => stab.nn.init.lsuv_(null!, ones(3, 3))).ParamName);
        Assert.Equal("batch", Assert.Throws<ArgumentNullException>(() => stab.nn.init.lsuv_(model, (Tensor)null!)).ParamName);
        Assert.Equal("model", Assert.Throws<ArgumentNullException>(() => stab.nn.init.lsuv_(null!, () => { })).ParamName);
        Assert.Equal("run", Assert.Throws<ArgumentNullException>(() => stab.nn.init.lsuv_(model, (Action)null!)).ParamName);
    }

    [Fact]
    public void An_error_in_the_model_leaves_no_hook_and_the_modes()
    {
        using var model = NewModel();
        using var wrong = rand(2, 1, 8, 8);
        Assert.ThrowsAny<Exception>(() => stab.nn.init.lsuv_(model, wrong));
        Assert.True(model.training);
        using var batch = rand(4, 3, 8, 8);
        using var weight = model.state_dict()["conv.weight"].clone();
        using var output = model.call(batch);
        Compare.Identical(weight, model.state_dict()["conv.weight"], "weight");
    }

    [Fact]
    public void Arguments_are_checked_before_anything_is_written()
    {
        using var model = NewModel();
        using var weight = model.state_dict()["conv.weight"].clone();
        using var batch = rand(4, 3, 8, 8);
        using var empty = zeros(0, 3, 8, 8);
        using var lstm = LSTM(3, 4);
        Assert.Throws<ArgumentException>("batch", () => stab.nn.init.lsuv_(model, empty));
        Assert.Throws<ArgumentException>("tol", () => stab.nn.init.lsuv_(model, batch, tol: 0));
        Assert.Throws<ArgumentException>("max_iterations", () => stab.nn.init.lsuv_(model, batch, max_iterations: 0));
        Assert.Throws<ArgumentException>("model", () => stab.nn.init.lsuv_(lstm, batch));
        Compare.Identical(weight, model.state_dict()["conv.weight"], "weight");
    }

    [Fact]
    public void Nothing_leaks()
    {
        using var model = NewModel();
        using var batch = randn(8, 3, 8, 8);
        LiveTensors.AssertNoneLeft(() => stab.nn.init.lsuv_(model, batch), times: 5);
    }

    // By the formula: TorchSharp's var() without dimensions takes n − 1 whatever unbiased says.
    private static double Variance(Tensor x) => (x - x.mean()).square().mean().item<double>();

    private sealed class Custom : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _called = Linear(6, 6);
        private readonly Module<Tensor, Tensor> _forwarded = Linear(6, 6);

        public Custom() : base(nameof(Custom))
        {
            register_module("called", _called);
            register_module("forwarded", _forwarded);
        }

        public override Tensor forward(Tensor input) => _forwarded.forward(_called.call(input));
    }
}
