using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

public class NonFinitePolicyTests
{
    public static TheoryData<string, double> Poisons
    {
        get
        {
            var data = new TheoryData<string, double>();
            foreach (string kind in Make.Optimizers.Keys)
                foreach (double poison in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity }) data.Add(kind, poison);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Poisons))]
    public void Skip_leaves_parameters_and_state_and_names_the_culprit(string kind, double poison)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var b = Make.Network(1);
        using var hurt = Make.Optimizers[kind](a.named_parameters());
        using var whole = Make.Optimizers[kind](b.named_parameters());
        (hurt.Clip, whole.Clip) = (GradientClip.Percentile(50), GradientClip.Percentile(50));
        for (int step = 0; step < 6; step++)
        {
            for (int row = 1; row <= (step < 3 ? step : 0); row++)
            {
                hurt.zero_grad();
                Make.Backward(a, 99);
                a.get_parameter("last.weight")!.grad![1, 2] = poison;
                hurt.step();
                Assert.True(hurt.LastStep is { Skipped: true, Clipped: false, FirstNonFinite: "last.weight" });
                Assert.Equal(row, hurt.LastStep.ConsecutiveSkips);
            }
            ClippingAwareOptimizerTests.Step(whole, b, step);
            ClippingAwareOptimizerTests.Step(hurt, a, step);
            Assert.True(hurt.LastStep is { Skipped: false, FirstNonFinite: null, ConsecutiveSkips: 0 });
        }
        foreach (var (p, q) in a.parameters().Zip(b.parameters())) Compare.Identical(q, p, "parameter");
    }

    [Fact]
    public void Skipping_for_ever_is_an_error_that_names_the_parameter()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.Adam(network.named_parameters(), nonFinite: NonFinitePolicy.Skip(3));
        Poison(network);
        for (int i = 0; i < 3; i++) optimizer.step();
        var error = Assert.Throws<InvalidOperationException>(() => optimizer.step());
        Assert.Contains("4 steps in a row", error.Message);
        Assert.Contains("first.bias", error.Message);
        Assert.Equal(new StepCounters(4, 0, 4), optimizer.Counters);
        ClippingAwareOptimizerTests.Step(optimizer, network, 1);
        Assert.False(optimizer.LastStep.Skipped);
    }

    [Fact]
    public void The_default_allows_twenty()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.SGD(network.parameters(), 0.1);
        Poison(network);
        for (int i = 0; i < 20; i++) optimizer.step();
        Assert.Contains("parameter 1", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message);
    }

    [Fact]
    public void Throw_throws_at_once_and_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.RMSprop(network.named_parameters(), nonFinite: NonFinitePolicy.Throw);
        var before = network.parameters().Select(p => p.detach().clone()).ToList();
        Poison(network);
        Assert.Contains("The gradient of first.bias holds NaN", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message);
        Assert.Equal("first.bias", optimizer.LastStep.FirstNonFinite);
        foreach (var (p, q) in before.Zip(network.parameters())) Compare.Identical(p, q, "parameter");
        Assert.All(optimizer.state_dict().State, s => Assert.Equal(0, ((TorchStab.Modules.RMSprop.State)s).step));
    }

    [Fact]
    public void Propagate_steps_as_torch_optim_does()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.Adam(network.named_parameters(), global_clipnorm: 1, nonFinite: NonFinitePolicy.Propagate);
        Poison(network);
        optimizer.step();
        Assert.True(optimizer.LastStep is { Skipped: false, FirstNonFinite: "first.bias" });
        Assert.All(network.parameters(), p => Assert.True(p.isnan().all().item<bool>())); // a NaN norm spreads to all, as in Keras
    }

    [Fact]
    public void A_poisoned_pass_spoils_its_whole_window()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.SGD(network.named_parameters(), 0.1);
        optimizer.accumulate(2);
        Poison(network);
        optimizer.step();
        Assert.Equal(default, optimizer.Counters);
        optimizer.zero_grad();
        Make.Backward(network, 1);
        optimizer.step();
        Assert.True(optimizer.LastStep.Skipped);
        optimizer.zero_grad();
        Assert.All(network.parameters(), p => Assert.Null(p.grad));
    }

    private static void Poison(Sequential network)
    {
        Make.Backward(network, 99);
        network.get_parameter("first.bias")!.grad![3] = double.NaN;
    }
}
