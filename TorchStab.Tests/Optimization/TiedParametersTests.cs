using TorchSharp.Modules;
using TorchStab.Optimization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Optimization;

/// <summary>A weight that two layers share has one gradient: it is clipped, judged and stepped once, under whatever handles it comes.</summary>
public class TiedParametersTests
{
    public static TheoryData<string> Optimizers => [.. Make.Optimizers.Keys];

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void An_optimizer_steps_a_tied_weight_once(string kind)
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        var alone = new Parameter(model.Table.weight!.detach().clone());
        using var optimizer = Make.Optimizers[kind](model.named_parameters().Select(p => (p.name, p.parameter)));
        using var expected = Make.Optimizers[kind]([("table.weight", alone)]);
        for (int step = 0; step < 3; step++)
        {
            var gradient = randn(5, 3);
            model.Head.weight.grad = gradient.clone();
            alone.grad = gradient;
            optimizer.step();
            expected.step();
        }
        Compare.Identical(alone, model.Head.weight, "stepped once");
        Assert.Single(optimizer.parameters());
        Assert.Single(optimizer.state_dict().State);
    }

    [Fact]
    public void ClippedOptimizer_makes_torch_optim_step_it_once_and_knows_it_by_its_first_name()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        var before = model.Head.weight.detach().clone();
        using var optimizer = stab.optim.ClippedOptimizer(optim.SGD(model.parameters(), 0.5, momentum: 0.9), GradientClip.ByGlobalNorm(100),
            named_parameters: model.named_parameters());
        model.Head.weight.grad = ones(5, 3);
        optimizer.step();
        Compare.Close(before - 0.5, model.Head.weight, "stepped once");
        Assert.Equal(Math.Sqrt(15), optimizer.LastStep.GradNorm, 5);
        model.Head.weight.grad = full([5, 3], float.NaN, device: CPU);
        optimizer.step();
        Assert.Equal("table.weight", optimizer.LastStep.FirstNonFinite);
        Assert.Single(optimizer.state_dict().State);
    }

    [Fact]
    public void In_two_groups_it_is_refused_in_the_words_of_PyTorch()
    {
        using var model = new Tied();
        Refused("some parameters appear in more than one parameter group", () => stab.optim.SGD(
            [new TorchStab.Modules.SGD.ParamGroup([model.Table.weight!]), new TorchStab.Modules.SGD.ParamGroup([model.Head.weight])], 1));
        using var inner = optim.SGD([new TorchSharp.Modules.SGD.ParamGroup([model.Table.weight!]), new TorchSharp.Modules.SGD.ParamGroup([model.Head.weight])],
            1);
        Refused("some parameters appear in more than one parameter group", () => stab.optim.ClippedOptimizer(inner, GradientClip.ByNorm(1)));
        using var native = optim.LBFGS([model.Table.weight!, model.Head.weight]);
        Refused("tied weights", () => stab.optim.ClippedOptimizer(native, GradientClip.ByNorm(1)));
    }

    [Fact]
    public void Refusals_name_what_the_caller_gave_and_leave_the_groups()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        using var native = optim.LBFGS([model.Table.weight!, model.Head.weight]);
        Assert.Equal("inner", Assert.Throws<ArgumentException>(() => stab.optim.ClippedOptimizer(native, GradientClip.ByNorm(1))).ParamName);
        using var around = stab.optim.ClippedOptimizer(optim.Adam([model.Table.weight!]), GradientClip.ByNorm(1));
        var group = new TorchSharp.Modules.Adam.ParamGroup([model.Head.weight]);
        Assert.Equal("param_group", Assert.Throws<ArgumentException>(() => around.add_param_group(group)).ParamName);
        Assert.Single(around.ParamGroups);
        Assert.Single(around.parameters());
        IEnumerable<(string, Parameter)> named = [("a", new Parameter(ones(2, dtype: ScalarType.Int64), false))];
        Assert.Equal("named_parameters", Assert.Throws<ArgumentException>(() => stab.optim.Adam(named)).ParamName);
        Assert.Equal("named_parameters", Assert.Throws<ArgumentException>(() => stab.optim.SGD(Array.Empty<(string, Parameter)>(), 0.1)).ParamName);
        Assert.Equal("parameters", Assert.Throws<ArgumentException>(() => stab.optim.AdamW([new TorchStab.Modules.AdamW.ParamGroup(named)])).ParamName);
        Assert.Equal("parameters", Assert.Throws<ArgumentException>(() => stab.optim.RMSprop(Array.Empty<Parameter>())).ParamName);
    }

    [Fact]
    public void Two_leaves_over_one_memory_are_refused()
    {
        using var scope = NewDisposeScope();
        var weight = new Parameter(randn(3, 2));
        var other = new Parameter(weight.detach());
        Refused("lie in one memory", () => stab.optim.Adam([weight, other]));
        using var optimizer = stab.optim.SGD([weight], 0.1);
        Refused("lie in one memory", () => optimizer.add_param_group(new TorchStab.Modules.SGD.ParamGroup([other])));
        foreach (var view in new[] { weight.detach().t(), weight.detach()[1..2], weight.detach().view(6), weight.detach()[2, 1] })
        {
            var overlapping = new Parameter(view);
            Refused("lie in one memory", () => stab.optim.Adam([weight, overlapping]));
            Refused("lie in one memory", () => optimizer.add_param_group(new TorchStab.Modules.SGD.ParamGroup([overlapping])));
        }
        // Parts of one block that do not overlap, as of a model whose parameters are one flat tensor; the last two lie in turns.
        var flat = randn(4, 4);
        Tensor columns = flat[2..];
        Parameter[] apart = [new(flat[0]), new(flat[1]), new(columns[.., ..2]), new(columns[.., 2..])];
        using var parts = stab.optim.SGD(apart, 0.1);
    }

    [Fact]
    public void Rebind_finds_it_again_and_says_where_a_tie_has_come_apart()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        using var named = stab.optim.SGD(model.named_parameters().Select(p => (p.name, p.parameter)), 0.1);
        using var unnamed = stab.optim.SGD(model.parameters(), 0.1);
        named.rebind(model);
        unnamed.rebind(model);
        model.Head.weight = new Parameter(randn(5, 3));
        Refused("'head.weight' was the same parameter as 'table.weight'", () => named.rebind(model));
        Refused("expected 1 parameters", () => unnamed.rebind(model));
    }

    [Fact]
    public void Shared_gradients_are_found_under_every_handle()
    {
        using var embedding = nn.Embedding(4, 2);
        using var registered = embedding.weight!;
        using var other = embedding.weight!;
        var owner = new Owner();
        SharedGradients.Register(registered, owner);
        try
        {
            SharedGradients.Combine([other]);
            Assert.Equal(1, owner.Combined);
            Assert.Equal(7, SharedGradients.CulpritOf(other));
        }
        finally
        {
            SharedGradients.Forget(registered);
        }
        SharedGradients.Combine([other]);
        Assert.Equal(1, owner.Combined);
    }

    private sealed class Owner : ISharedGradients
    {
        public int Combined { get; private set; }

        public void Combine() => Combined++;

        public int? CulpritOf(Parameter parameter) => 7;
    }
}
