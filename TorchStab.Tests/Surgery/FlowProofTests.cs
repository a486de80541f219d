using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>fuse_norms on modules whose order only running them shows: what it finds, what it leaves, and that nothing else changes.</summary>
public class FlowProofTests
{
    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Func<Tensor, Tensor> _run;

        public Net(Func<Tensor, Tensor> run, params (string name, nn.Module module)[] parts) : base(nameof(Net))
        {
            _run = run;
            foreach (var (name, part) in parts) register_module(name, part);
        }

        public override Tensor forward(Tensor input) => _run(input);
    }

    /// <summary>conv → bn → ReLU → conv → bn → mean → linear, the layers registered in another order than they run.</summary>
    private static (Net model, BatchNorm2d last) TwoNorms(bool bias, bool affine, double eps = 1e-5, Func<Tensor, Tensor>? require = null)
    {
        nn.Module<Tensor, Tensor> a = nn.Conv2d(2, 5, 3, padding: 1, bias: bias, dtype: ScalarType.Float64),
            b = nn.Conv2d(5, 5, 3, bias: bias, dtype: ScalarType.Float64);
        var (m, n) = (nn.BatchNorm2d(5, eps, affine: affine, dtype: ScalarType.Float64), nn.BatchNorm2d(5, eps, affine: affine, dtype: ScalarType.Float64));
        var (first, last) = (new Place { Norm = m }, new Place { Norm = n });
        var end = nn.Linear(5, 2, dtype: ScalarType.Float64);
        var model = new Net(x => end.call(last.Norm.call(b.call(first.Norm.call(a.call((require ?? (t => t))(x))).relu())).mean([2, 3])),
            ("a", a), ("b", b), ("m", m), ("n", n), ("end", end));
        using (no_grad())
            foreach (var (name, tensor) in model.state_dict())
                if (tensor.is_floating_point())
                    tensor.copy_(name.EndsWith("running_var", StringComparison.Ordinal) ? rand_like(tensor) + 0.5 : randn_like(tensor));
        model.eval();
        return (model, n);
    }

    private sealed class Place
    {
        public required nn.Module<Tensor, Tensor> Norm;
    }

    [Theory]
    [InlineData(true, true, true)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    public void Finds_each_norms_layer_by_running_the_model(bool bias, bool affine, bool withExample)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (model, _) = TwoNorms(bias, affine, 1e-2);
        var x = randn(3, 2, 9, 9, ScalarType.Float64);
        var expected = model.call(x);
        stab.nn.utils.fuse_norms(model, out var report, withExample ? x : null);
        Assert.Equal(["torch.nn.Identity, folded into a", "torch.nn.Identity, folded into b"], report.Changes.Select(c => c.To));
        Compare.Close(expected, model.call(x), "folded");
        Assert.Empty(report.Refusals);
        model.Dispose();
    }

    public static TheoryData<string> Blinding => ["weight", "bias", "running_mean", "running_var"];

    [Theory]
    [MemberData(nameof(Blinding))]
    public void Extreme_values_of_a_norm_behind_do_not_hide_a_layer(string extreme)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (model, last) = TwoNorms(bias: true, affine: true);
        using (no_grad()) (last.get_parameter(extreme) ?? last.get_buffer(extreme))!.fill_(extreme == "weight" ? 0 : 1e30);
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Equal(["m", "n"], report.Changes.Select(c => c.Path));
        model.Dispose();
    }

    [Fact]
    public void The_scale_of_the_output_is_of_no_account()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (model, _) = TwoNorms(bias: true, affine: true);
        using var tiny = new Net(x => model.call(x) * 1e-12, ("inner", model));
        tiny.eval();
        stab.nn.utils.fuse_norms(tiny, out var report, randn(3, 2, 9, 9, ScalarType.Float64));
        Assert.Equal(["inner.m", "inner.n"], report.Changes.Select(c => c.Path));
    }

    [Theory]
    [InlineData(2, 64, true)]
    [InlineData(2, 224, true)]
    [InlineData(2, 28, true)]
    [InlineData(1, 64, false)] // (C, L) may come too
    [InlineData(3, 32, true)]
    [InlineData(3, 28, true)]
    [InlineData(3, 64, false)] // too large to try
    [InlineData(2, 17, false)]
    public void Sizes_that_networks_are_written_for_are_tried(int rank, long size, bool found)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        nn.Module<Tensor, Tensor> conv = rank switch { 1 => nn.Conv1d(1, 3, 1), 2 => nn.Conv2d(1, 3, 1), _ => nn.Conv3d(1, 3, 1) };
        nn.Module<Tensor, Tensor> norm = rank switch { 1 => nn.BatchNorm1d(3), 2 => nn.BatchNorm2d(3), _ => nn.BatchNorm3d(3) };
        var place = new Place { Norm = norm };
        var sizes = new List<long>();
        using var model = new Net(x =>
        {
            sizes.Add(x.shape[^1]);
            return x.shape[^1] == size ? place.Norm.call(conv.call(x)) : throw new FormatException();
        }, ("norm", norm), ("conv", conv));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Equal(found ? ["norm"] : [], report.Changes.Select(c => c.Path));
        Assert.Equal(!found, report.Refusals.Count == 1
            && report.Refusals[0].Reason.EndsWith("pass an example input, which shows more", StringComparison.Ordinal));
        if (rank == 3) Assert.DoesNotContain(64, sizes);
        if (found) return;
        Assert.Empty(stab.nn.utils.fuse_norms(model, out var shown, randn([2, 1, .. Enumerable.Repeat(size, rank)])).children().OfType<BatchNorm>());
        Assert.Equal(["norm"], shown.Changes.Select(c => c.Path));
    }

    [Fact]
    public void A_layer_that_is_not_used_is_not_taken_for_the_one_before()
    {
        using var scope = NewDisposeScope();
        var (used, idle, norm) = (nn.Linear(3, 4, hasBias: false), nn.Linear(3, 4, hasBias: false), nn.BatchNorm1d(4));
        var place = new Place { Norm = norm };
        using var model = new Net(x => x.ndim == 2 ? place.Norm.call(used.call(x)) : throw new FormatException(), ("used", used),
            ("idle", idle), ("norm", norm));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Equal("torch.nn.Identity, folded into used", report.Changes.Single().To);
        Assert.Null(idle.bias);
        Assert.NotNull(used.bias);
    }

    [Fact]
    public void What_is_refused_has_its_values_and_no_new_bias()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (linear, norm) = (nn.Linear(3, 4, hasBias: false), nn.BatchNorm1d(4));
        var place = new Place { Norm = norm };
        using var model = new Net(x => place.Norm.call(linear.call(x).relu()), ("linear", linear), ("norm", norm));
        model.eval();
        var before = FoldingSamples.Snapshot(model);
        stab.nn.utils.fuse_norms(model, out var report, randn(5, 3));
        Assert.Equal("no layer was found whose output goes to it, channel for channel, and nowhere else", report.Refusals.Single().Reason);
        Assert.Null(linear.bias);
        foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "state");
    }

    [Fact]
    public void An_example_that_the_model_refuses_is_an_error_and_changes_nothing()
    {
        using var scope = NewDisposeScope();
        var (model, _) = TwoNorms(bias: true, affine: true);
        var before = FoldingSamples.Snapshot(model);
        Assert.ThrowsAny<Exception>(() => stab.nn.utils.fuse_norms(model, randn(3, 7, 9, 9, ScalarType.Float64)));
        foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "state");
        model.Dispose();
    }

    [Fact]
    public void A_proof_leaves_no_tensors()
    {
        var (linear, norm) = (nn.Linear(3, 4), nn.BatchNorm1d(4));
        var place = new Place { Norm = norm };
        using var model = new Net(x => place.Norm.call(linear.call(x).relu()), ("linear", linear), ("norm", norm));
        model.eval();
        using var x = randn(5, 3);
        LiveTensors.AssertNoneLeft(() => stab.nn.utils.fuse_norms(model, x));
    }
}
