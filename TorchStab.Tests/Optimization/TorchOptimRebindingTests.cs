using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>torch.optim's optimizers lose their state when a model moves; inside a ClippedOptimizer they keep it.</summary>
public class TorchOptimRebindingTests
{
    // Without a norm where numbers are compared: a bias before one has a gradient of rounding errors, which Adam makes large.
    private static Sequential Network(bool norm)
    {
        manual_seed(1);
        return norm
            ? nn.Sequential(("a", nn.Linear(3, 4)), ("bn", nn.BatchNorm1d(4)), ("tanh", nn.Tanh()), ("b", nn.Linear(4, 2)))
            : nn.Sequential(("a", nn.Linear(3, 4)), ("tanh", nn.Tanh()), ("b", nn.Linear(4, 2)));
    }

    private static optim.Optimizer Inner(string kind, IEnumerable<Parameter> parameters) => kind switch
    {
        "SGD" => optim.SGD(parameters, 0.1, momentum: 0.9),
        "Adam" => optim.Adam(parameters, 0.01, amsgrad: true),
        "Adagrad" => optim.Adagrad(parameters, 0.1),
        _ => optim.NAdam(parameters),
    };

    private static void Step(TorchStab.Modules.ClippedOptimizer optimizer, Sequential network, int seed)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        var input = randn(8, 3, dtype: ScalarType.Float64).to(network.parameters().First().dtype);
        optimizer.zero_grad();
        network.call(input).pow(2).mean().backward();
        optimizer.step();
    }

    [Theory]
    [InlineData("SGD", true)]
    [InlineData("SGD", false)]
    [InlineData("Adam", true)]
    [InlineData("Adagrad", false)]
    [InlineData("NAdam", true)]
    public void State_follows_a_model_that_moves(string kind, bool named)
    {
        using var moved = Network(norm: false);
        using var stayed = Network(norm: false);
        stayed.to(ScalarType.Float64);
        moved.to(ScalarType.Float64);
        using var first = stab.optim.ClippedOptimizer(Inner(kind, moved.parameters()), GradientClip.ByGlobalNorm(0.5), named_parameters: named
            ? moved.named_parameters() : null);
        using var second = stab.optim.ClippedOptimizer(Inner(kind, stayed.parameters()), GradientClip.ByGlobalNorm(0.5));
        for (int step = 0; step < 3; step++)
        {
            Step(first, moved, step);
            Step(second, stayed, step);
        }
        var old = Moments(first);
        using (NewDisposeScope()) // state that a scope took with it would be gone at the next step
        {
            moved.to(ScalarType.Float32);
            first.rebind(moved);
        }
        Assert.All(old, t => Assert.True(t.IsInvalid));
        Assert.Equal(old.Count, Moments(first).Count);
        foreach (var (m, n) in Moments(second).Zip(Moments(first)))
        {
            using var narrow = m.to(ScalarType.Float32);
            Compare.Close(narrow, n, $"{kind}: state");
        }
        for (int step = 3; step < 6; step++)
        {
            Step(first, moved, step);
            Step(second, stayed, step);
        }
        foreach (var ((name, p), (_, q)) in moved.named_parameters().Zip(stayed.named_parameters()))
        {
            using var narrow = q.to(ScalarType.Float32);
            Compare.Close(narrow, p, $"{kind}: {name}", Tolerance.Float32);
        }
    }

    [Fact]
    public void Folding_drops_the_norms_and_keeps_the_rest()
    {
        using var network = Network(norm: true);
        using var optimizer = stab.optim.ClippedOptimizer(Inner("Adam", network.parameters()), GradientClip.ByNorm(1),
            named_parameters: network.named_parameters());
        Step(optimizer, network, 1);
        var ofNorm = ((Adam.State)optimizer.state_dict().State[2]).exp_avg;
        network.eval();
        using var example = ones(2, 3);
        stab.nn.utils.fuse_norms(network, example);
        optimizer.rebind(network);
        Assert.Equal(4, optimizer.parameters().Count());
        Assert.True(ofNorm.IsInvalid);
        Step(optimizer, network, 2);
        Assert.False(optimizer.LastStep.Skipped);
        Assert.Equal(2, ((Adam.State)optimizer.state_dict().State[0]).step);
    }

    [Fact]
    public void Another_number_of_unnamed_parameters_is_an_error_and_changes_nothing()
    {
        using var network = Network(norm: true);
        using var other = nn.Linear(3, 4);
        using var optimizer = stab.optim.ClippedOptimizer(Inner("SGD", network.parameters()), GradientClip.ByNorm(1));
        Step(optimizer, network, 1);
        var e = Assert.Throws<ArgumentException>(() => optimizer.rebind(other));
        Assert.Contains("expected 6 parameters", e.Message);
        Step(optimizer, network, 2);
    }

    [Fact]
    public void A_layer_of_another_shape_starts_anew()
    {
        using var network = Network(norm: false);
        using var other = nn.Sequential(("a", nn.Linear(3, 4)), ("tanh", nn.Tanh()), ("b", nn.Linear(4, 5)));
        using var optimizer = stab.optim.ClippedOptimizer(Inner("Adam", network.parameters()), GradientClip.ByNorm(1),
            named_parameters: network.named_parameters());
        Step(optimizer, network, 1);
        var kept = Moments(optimizer)[0];
        optimizer.rebind(other);
        Assert.Same(kept, Moments(optimizer)[0]); // nothing to convert
        var states = optimizer.state_dict().State.Cast<Adam.State>().ToList();
        Assert.Equal([1L, 1, 0, 0], states.Select(s => s.step));
        Assert.Equal([5L, 4], states[2].exp_avg.shape);
        Step(optimizer, other, 2);
    }

    [Fact]
    public void Groups_keep_their_parameters_and_options()
    {
        using var moved = Network(norm: false);
        using var stayed = Network(norm: false);
        using var first = Grouped(moved);
        using var second = Grouped(stayed);
        Step(first, moved, 1);
        Step(second, stayed, 1);
        moved.to(ScalarType.Float64);
        first.rebind(moved);
        Step(first, moved, 2);
        Step(second, stayed, 2);
        foreach (var (p, q) in stayed.parameters().Zip(moved.parameters()))
        {
            using var narrow = q.to(ScalarType.Float32);
            Compare.Close(p, narrow, "parameter");
        }

        static TorchStab.Modules.ClippedOptimizer Grouped(Sequential network)
        {
            var all = network.parameters().ToList();
            return stab.optim.ClippedOptimizer(optim.SGD([new SGD.ParamGroup(all[..1]), new(all[1..], 0.01)], 0.1, momentum: 0.9), GradientClip.ByNorm(1));
        }
    }

    [Fact]
    public void Groups_that_no_longer_tell_their_parameters_are_an_error()
    {
        using var network = Network(norm: false);
        var all = network.parameters().ToList();
        int shown = 3;
        using var optimizer = stab.optim.ClippedOptimizer(
            optim.SGD([new SGD.ParamGroup(all[..1]), new(all.Skip(1).Where((_, i) => i < shown))], 0.1), GradientClip.ByNorm(1));
        shown = 2;
        Assert.Contains("no longer tell", Assert.Throws<InvalidOperationException>(() => optimizer.rebind(network)).Message, StringComparison.Ordinal);
        shown = 3;
        Step(optimizer, network, 1);
    }

    private static List<Tensor> Moments(TorchStab.Modules.ClippedOptimizer optimizer) =>
        [.. optimizer.state_dict().State.SelectMany(s => s.GetType().GetFields().Select(f => f.GetValue(s)).OfType<Tensor>())];
}
