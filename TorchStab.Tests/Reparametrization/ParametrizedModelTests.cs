using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using Parametrizations = TorchStab.stab.nn.utils.parametrizations;
using Parametrize = TorchStab.stab.nn.utils.parametrize;

namespace TorchStab.Tests.Reparametrization;

/// <summary>Parametrizations of whole models: where layers are, what is refused, and what optimizers, initializers, monitors and ranks see.</summary>
public class ParametrizedModelTests
{
    [Fact]
    public void Every_layer_of_a_model_is_exchanged_in_place_and_put_back()
    {
        using var scope = NewDisposeScope();
        using var net = new Net();
        using var x = tensor(new long[] { 1, 2, 3 });
        var before = net.forward(x).detach();
        string[] keys = [.. net.state_dict().Keys];
        Assert.Same(net, Parametrizations.weight_norm((nn.Module)net, out var report));
        Assert.Equal(["embed", "out", "block.0", "block.2", "rest.0"], report.Changes.Select(c => c.Path));
        Assert.Empty(report.Refusals);
        Compare.Close(before, net.forward(x), "output");
        Assert.Equal(2 * 5, net.named_parameters().Count(p => p.name.Contains("parametrizations.weight.original", StringComparison.Ordinal)));
        Assert.Same(net, Parametrize.remove_parametrizations(net));
        Assert.Equal(keys, net.state_dict().Keys);
        Compare.Close(before, net.forward(x), "output after removal");
        Parametrizations.spectral_norm((nn.Module)net, out report, filter: path => path.StartsWith("block", StringComparison.Ordinal));
        Assert.Equal(["block.0", "block.2"], report.Changes.Select(c => c.Path));
        Assert.Throws<ArgumentException>(() => Parametrize.remove_parametrizations(net, "other"));
    }

    [Fact]
    public void What_can_not_be_parametrized_is_reported_and_nothing_is_half_changed()
    {
        using var scope = NewDisposeScope();
        using var net = new Fixed();
        var keys = net.state_dict().Keys.ToList();
        var refusal = Assert.Throws<InvalidOperationException>(() => Parametrizations.weight_norm(net));
        Assert.Contains("field 'fc' of Fixed can only hold a Linear", refusal.Message);
        Assert.Equal(keys, net.state_dict().Keys);
        Parametrizations.weight_norm((nn.Module)net, out var report);
        Assert.Equal(["free"], report.Changes.Select(c => c.Path));
        Assert.Equal(["fc", "tied.a", "tied.b", "own"], report.Refusals.Select(r => r.Path));
        Parametrizations.weight_norm((nn.Module)net, out report);
        Assert.Empty(report.Changes);
        Assert.Contains(report.Refusals, r => r.Path == "free" && r.Reason.Contains("already", StringComparison.Ordinal));
    }

    [Fact]
    public void Wrong_arguments_are_refused()
    {
        using var linear = nn.Linear(3, 2);
        Assert.Equal("name", Assert.Throws<ArgumentNullException>(() => Parametrizations.weight_norm(linear, null!)).ParamName);
        Assert.Equal("module", Assert.Throws<ArgumentNullException>(() => Parametrizations.weight_norm((nn.Module)null!)).ParamName);
        foreach (long dim in (long[])[-1, 2])
        {
            Assert.Contains("[2, 3]", Assert.Throws<ArgumentException>(() => Parametrizations.weight_norm(linear, dim: dim)).Message);
            Assert.Throws<ArgumentException>(() => Parametrizations.spectral_norm(linear, dim: dim));
        }
        Assert.Throws<ArgumentException>(() => Parametrizations.weight_norm(linear, "bias"));
        Assert.Throws<ArgumentException>(() => Parametrizations.weight_norm(nn.ReLU()));
        Assert.Equal("n_power_iterations",
            Assert.Throws<ArgumentOutOfRangeException>(() => Parametrizations.spectral_norm(linear, n_power_iterations: 0)).ParamName);
        Assert.Equal("eps", Assert.Throws<ArgumentOutOfRangeException>(() => Parametrizations.spectral_norm(linear, eps: double.NaN)).ParamName);
        using var twin = Parametrizations.weight_norm(linear);
        Assert.Throws<ArgumentException>(() => Parametrizations.weight_norm(twin));
    }

    public static TheoryData<string> Cells => ["weight_ih", "weight_hh"];

    [Theory]
    [MemberData(nameof(Cells))]
    public void Recurrent_cells_compute_their_own_weights(string name)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var x = randn(5, 2, 3, ScalarType.Float64);
        using var plain = stab.nn.LayerNormLSTM(3, 4, 2, dtype: ScalarType.Float64);
        using var rnn = stab.nn.LayerNormLSTM(3, 4, 2, dtype: ScalarType.Float64);
        rnn.load_state_dict(plain.state_dict());
        Assert.Same(rnn, Parametrizations.weight_norm(rnn, name));
        Compare.Close(plain.call(x).output, rnn.call(x).output, "output at the start");
        foreach (var cell in rnn.cells)
            using (no_grad()) ((WeightNorm)cell.named_modules().First(m => m.name == $"parametrizations.{name}").module).original0.mul_(2);
        foreach (var (p, value) in plain.named_parameters().Where(p => p.name.EndsWith(name, StringComparison.Ordinal)).Select(p => (p.name, p.parameter)))
            using (no_grad()) value.mul_(2);
        var (y, expected) = (rnn.call(x).output, plain.call(x).output);
        Compare.Close(expected, y, "output");
        var upstream = randn_like(y);
        y.backward([upstream]);
        expected.backward([upstream]);
        var own = plain.cells[1].get_parameter(name)!;
        var norm = (WeightNorm)rnn.cells[1].named_modules().First(m => m.name == $"parametrizations.{name}").module;
        var direction = norm.original1.detach() / WeightNormTests.Norm(norm.original1.detach(), 0);
        Compare.Close((own.grad! * direction).sum(dim: 1, keepdim: true), norm.original0.grad, "gradient of g");
        Assert.Contains(name, Assert.Throws<InvalidOperationException>(() => name == "weight_ih" ? rnn.cells[0].weight_ih : rnn.cells[0].weight_hh).Message);
        rnn.to(ScalarType.Float32);
        rnn.call(x.to(ScalarType.Float32));
        rnn.cells[0].reset_parameters();
        Parametrize.remove_parametrizations(rnn, name);
        Assert.Equal(plain.state_dict().Keys, rnn.state_dict().Keys);
        rnn.call(x.to(ScalarType.Float32));
    }

    [Fact]
    public void A_cell_iterates_once_a_pass_and_takes_both_weights()
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using var rnn = stab.nn.LayerNormGRU(3, 4, dtype: ScalarType.Float64);
        Parametrizations.spectral_norm(rnn, "weight_hh");
        Parametrizations.weight_norm(rnn.cells[0], "weight_ih");
        var norm = (SpectralNorm)rnn.cells[0].named_modules().First(m => m.name == "parametrizations.weight_hh").module;
        var (w, v) = (norm.original.detach(), norm.v.clone());
        rnn.call(randn(6, 2, 3, ScalarType.Float64)).output.sum().backward();
        Compare.Close(w.mv(v) / w.mv(v).norm(), norm.u, "u after a pass of six steps");
        Assert.All(rnn.parameters(), p => Assert.NotNull(p.grad));
        Parametrize.remove_parametrizations(rnn, "weight_ih");
        Parametrize.remove_parametrizations(rnn, "weight_hh");
        Assert.DoesNotContain(rnn.named_modules(), m => m.name.Contains("parametrizations", StringComparison.Ordinal));
    }

    [Fact]
    public void Initialization_draws_the_weight_that_results()
    {
        using var scope = NewDisposeScope();
        using var net = nn.Sequential(("fc", nn.Linear(200, 300)), ("relu", nn.ReLU()), ("out", nn.Linear(300, 200)));
        Parametrizations.weight_norm(net, dim: 0);
        manual_seed(5);
        var report = stab.nn.init.initialize_(net);
        Assert.Empty(report.Untouched);
        Assert.Equal(net.named_parameters().Select(p => p.name).Order(StringComparer.Ordinal),
            report.Entries.Select(e => e.Parameter).Order(StringComparer.Ordinal));
        var (fc, output) = ((Parametrized)net[0], (Parametrized)net[2]);
        Assert.Equal(Math.Sqrt(2.0 / 200), fc.weight.std().item<float>(), Tolerance.SampleStd * 0.1);
        Assert.Equal(Math.Sqrt(2.0 / 500), output.weight.std().item<float>(), Tolerance.SampleStd * 0.1);
        Compare.Close(((WeightNorm)fc.parametrization).original1.detach(), fc.weight, "the weight is what was drawn");
        stab.nn.init.lsuv_(net, randn(256, 200));
        Assert.Equal(1, net.call(randn(256, 200)).var().item<float>(), 0.3);
        using var rnn = stab.nn.LayerNormLSTM(8, 8);
        Parametrizations.weight_norm(rnn, "weight_hh");
        Assert.Contains(stab.nn.init.initialize_(rnn).Entries, e => e.Parameter == "cells.0.parametrizations.weight_hh.original1"
            && e.Scheme.Contains("orthogonal", StringComparison.Ordinal));
    }

    [Fact]
    public void Monitors_show_one_layer_and_optimizers_name_its_parameters()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var net = nn.Sequential(("fc", nn.Linear(4, 8, hasBias: false)), ("act", nn.Tanh()), ("out", nn.Linear(8, 2)));
        Parametrizations.weight_norm(net);
        using var optimizer = stab.optim.AdamW(net.named_parameters(), 0.01, global_clipnorm: 1);
        using var gradients = new GradientMonitor(net);
        using var activations = new ActivationMonitor(net);
        for (int i = 0; i < 3; i++)
        {
            optimizer.zero_grad();
            net.call(randn(16, 4)).square().mean().backward();
            gradients.Step(optimizer);
        }
        Assert.Equal(["fc", "out"], gradients.Last!.Layers.Select(l => l.Layer));
        Assert.Equal(["fc", "act", "out"], activations.Last!.Layers.Select(l => l.Layer));
        Assert.Empty(activations.Unseen);
        Assert.Equal(VerdictKind.Healthy, activations.Judge().Model.Kind);
        using (no_grad()) net.get_parameter("fc.parametrizations.weight.original0")!.grad!.fill_(double.NaN);
        optimizer.step();
        Assert.Equal("fc.parametrizations.weight.original0", optimizer.LastStep.FirstNonFinite);
        net.to(ScalarType.Float64);
        optimizer.rebind(net);
        optimizer.zero_grad();
        net.call(randn(16, 4, ScalarType.Float64)).square().mean().backward();
        optimizer.step();
        Assert.False(optimizer.LastStep.Skipped);
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> embed = nn.Embedding(5, 4), @out;
        private readonly Sequential block = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6));
        private readonly ModuleList<nn.Module<Tensor, Tensor>> rest = nn.ModuleList<nn.Module<Tensor, Tensor>>(nn.Linear(6, 6));
        private readonly nn.Module<Tensor, Tensor> norm = stab.nn.LayerNorm(6);

        public Net()
            : base(nameof(Net))
        {
            @out = nn.Linear(6, 2);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => @out.call(norm.call(rest[0].call(block.call(embed.call(input)))));
    }

    private sealed class Fixed : nn.Module
    {
        private readonly Linear fc = nn.Linear(3, 3);
        private readonly nn.Module<Tensor, Tensor> free = nn.Linear(3, 3);
        private readonly Sequential tied;
        private readonly Own own = new();

        public Fixed()
            : base(nameof(Fixed))
        {
            var (a, b) = (nn.Linear(3, 3), nn.Linear(3, 3));
            b.weight = a.weight;
            tied = nn.Sequential(("a", a), ("b", b));
            RegisterComponents();
            _ = (fc, free, own);
        }
    }

    private sealed class Own : nn.Module
    {
        private readonly Parameter weight = new(randn(2, 2));

        public Own()
            : base(nameof(Own))
        {
            RegisterComponents();
            _ = weight;
        }
    }
}
