using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

public class RebindTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void State_survives_a_change_of_dtype(bool named)
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1, ScalarType.Float32);
        using var optimizer = named ? stab.optim.Adam(network.named_parameters()) : stab.optim.Adam(network.parameters());
        for (int step = 0; step < 3; step++) Step(optimizer, network, step, ScalarType.Float32);
        var before = ((TorchStab.Modules.Adam.State)optimizer.state_dict().State[0]).exp_avg.clone();
        network.to(ScalarType.Float64);
        Make.Backward(network, 3);
        Assert.Contains("rebind", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message);
        using (NewDisposeScope()) optimizer.rebind(network);
        var state = (TorchStab.Modules.Adam.State)optimizer.state_dict().State[0];
        Compare.Identical(before.to(ScalarType.Float64), state.exp_avg, "exp_avg");
        Assert.Equal(3, state.step);
        optimizer.step();
        Assert.Equal(4, state.step);
        Assert.Equal(network.parameters().Select(p => p.Handle), optimizer.parameters().Select(p => p.Handle));
        optimizer.zero_grad();
        Assert.All(network.parameters(), p => Assert.Null(p.grad));
    }

    [Fact]
    public void Names_that_are_gone_leave_and_other_shapes_start_anew()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.SGD(network.named_parameters(), 0.1, momentum: 0.9);
        Step(optimizer, network, 1);
        var gone = ((TorchStab.Modules.SGD.State)optimizer.state_dict().State[3]).momentum_buffer!;
        using var other = nn.Sequential(("first", nn.Linear(4, 8, dtype: ScalarType.Float64)),
            ("last", nn.Linear(8, 2, hasBias: false, dtype: ScalarType.Float64)));
        optimizer.rebind(other);
        var states = optimizer.state_dict().State.Cast<TorchStab.Modules.SGD.State>().ToList();
        Assert.Equal(3, states.Count);
        Assert.True(gone.IsInvalid);
        optimizer.to(CPU); // would meet the state that left
        Assert.NotNull(states[0].momentum_buffer);
        Assert.Null(states[2].momentum_buffer);
        other.call(randn(2, 4, ScalarType.Float64)).mul(randn(2, 2, ScalarType.Float64)).sum().backward();
        optimizer.step();
        Assert.Equal([2L, 8L], states[2].momentum_buffer!.shape);
    }

    [Fact]
    public void What_cannot_match_is_refused_and_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var wider = nn.Sequential(("first", nn.Linear(5, 8, dtype: ScalarType.Float64)), ("last", nn.Linear(8, 3, dtype: ScalarType.Float64)));
        using var strange = nn.Linear(4, 8);
        using var byPosition = stab.optim.Adam(network.parameters());
        using var byName = stab.optim.Adam(network.named_parameters());
        Assert.Contains("named_parameters", Assert.Throws<ArgumentException>(() => byPosition.rebind(strange)).Message);
        Assert.Contains("first.weight", Assert.Throws<ArgumentException>(() => byPosition.rebind(wider)).Message);
        Assert.Contains("first.weight", Assert.Throws<ArgumentException>(() => byName.rebind(strange)).Message);
        var twice = Make.Parameter(ones(2));
        Assert.Contains("more than one parameter group",
            Assert.Throws<ArgumentException>(() => byName.rebind([("first.weight", twice), ("last.bias", twice)])).Message);
        Step(byPosition, network, 1);
        Step(byName, network, 1);
    }

    [Fact]
    public void A_wrapped_optimizer_of_TorchStab_is_rebound_too()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1, ScalarType.Float32);
        using var optimizer = stab.optim.ClippedOptimizer(stab.optim.RMSprop(network.named_parameters()), GradientClip.ByNorm(1),
            named_parameters: network.named_parameters());
        Step(optimizer, network, 1, ScalarType.Float32);
        network.to(ScalarType.Float64);
        optimizer.rebind(network);
        Step(optimizer, network, 2);
        Make.Backward(network, 3);
        network.get_parameter("last.bias")!.grad!.fill_(double.NaN);
        optimizer.step();
        Assert.Equal("last.bias", optimizer.LastStep.FirstNonFinite);
    }

    private static void Step(optim.Optimizer optimizer, Sequential network, int seed, ScalarType dtype = ScalarType.Float64)
    {
        optimizer.zero_grad();
        Make.Backward(network, seed, dtype);
        optimizer.step();
    }
}
