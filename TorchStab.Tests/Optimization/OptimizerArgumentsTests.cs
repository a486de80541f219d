using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;
using SGD = TorchStab.Modules.SGD;

namespace TorchStab.Tests.Optimization;

/// <summary>What an optimizer refuses to be given, by name, with nothing changed.</summary>
public class OptimizerArgumentsTests
{
    [Fact]
    public void Missing_arguments_are_named()
    {
        using var scope = NewDisposeScope();
        using var optimizer = stab.optim.SGD([Make.Parameter(ones(2))], 1);
        using var wrapped = stab.optim.ClippedOptimizer(optim.Adam([Make.Parameter(ones(2))]), GradientClip.ByNorm(1));
        Named("value", () => optimizer.NonFinite = null!);
        Named("value", () => wrapped.NonFinite = null!);
        Named("param_group", () => optimizer.add_param_group((ParamGroup)null!));
        Named("model", () => optimizer.rebind((nn.Module)null!));
        Named("model", () => wrapped.rebind(null!));
        Named("named_parameters", () => optimizer.rebind((IEnumerable<(string, Parameter)>)null!));
        Named("writer", () => optimizer.save_state_dict((BinaryWriter)null!));
        Named("reader", () => optimizer.load_state_dict((BinaryReader)null!));
        Named("reader", () => wrapped.load_state_dict((BinaryReader)null!));
        Named("state_dict", () => optimizer.load_state_dict((optim.Optimizer.StateDictionary)null!));
        Named("inner", () => stab.optim.ClippedOptimizer(null!, GradientClip.ByNorm(1)));
        Named("clip", () => stab.optim.ClippedOptimizer(optimizer, null!));
        Named("parameters", () => stab.optim.SGD((IEnumerable<SGD.ParamGroup>)null!, 1));
        Named("named_parameters", () => _ = new SGD.ParamGroup((IEnumerable<(string, Parameter)>)null!));
    }

    [Fact]
    public void Parameters_that_can_not_train_are_refused()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(2));
        using var optimizer = stab.optim.SGD([p], 1);
        Refused("got null among them", () => optimizer.add_param_group(new SGD.ParamGroup([Make.Parameter(ones(1)), null!])));
        Refused("floating dtype, got Int64", () => optimizer.add_param_group(new SGD.ParamGroup([new Parameter(ones(1, ScalarType.Int64), false)])));
        Refused("empty parameter list", () => optimizer.add_param_group(new SGD.ParamGroup(Array.Empty<Parameter>())));
        Refused("empty parameter list", () => optimizer.add_param_group(new SGD.ParamGroup { Parameters = null! }));
        Refused("more than one parameter group", () => optimizer.add_param_group(new SGD.ParamGroup([p])));
        Assert.Single(optimizer.ParamGroups);
        Refused("expected a floating dtype, got Int32", () => optimizer.MomentDtype = ScalarType.Int32);
        optimizer.MomentDtype = ScalarType.Float64;
        optimizer.MomentDtype = null;
        Assert.Null(optimizer.MomentDtype);
        Refused("at least one backward pass", () => optimizer.accumulate(0));
    }

    [Fact]
    public void A_constructor_that_refuses_frees_what_it_made()
    {
        using var p = new Parameter(ones(2));
        LiveTensors.AssertNoneLeft(() => Assert.Throws<ArgumentException>(() => stab.optim.Adam([new TorchStab.Modules.Adam.ParamGroup([p]), new([p])])));
    }

    [Fact]
    public void Names_must_be_as_many_as_the_parameters_of_a_native_optimizer_and_none_missing()
    {
        using var scope = NewDisposeScope();
        var (p, q) = (Make.Parameter(ones(2)), Make.Parameter(ones(2)));
        Refused("the names of the optimizer's 1 parameters, got 2",
            () => stab.optim.ClippedOptimizer(optim.LBFGS([p]), GradientClip.ByNorm(1), named_parameters: [("p", p), ("q", q)]));
        Refused("got null among them", () => stab.optim.ClippedOptimizer(optim.Adam([p]), GradientClip.ByNorm(1), named_parameters: [("p", null!)]));
    }

    [Fact]
    public void LBFGS_takes_no_window_and_needs_its_closure()
    {
        using var scope = NewDisposeScope();
        using var lbfgs = stab.optim.ClippedOptimizer(optim.LBFGS([Make.Parameter(ones(2))]), GradientClip.ByNorm(1));
        lbfgs.accumulate(1);
        Assert.Throws<InvalidOperationException>(() => lbfgs.accumulate(2));
        Assert.Equal("closure", Assert.Throws<ArgumentNullException>(() => lbfgs.step()).ParamName);
        Assert.Contains("native code", Assert.Throws<InvalidOperationException>(() => lbfgs.save_state_dict(new BinaryWriter(Stream.Null))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_counts_from_where_it_was_set_and_keeps_gradients_meanwhile()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(1, 4f));
        using var optimizer = stab.optim.SGD([p], 1);
        optimizer.accumulate(2);
        optimizer.step();
        optimizer.zero_grad();
        Assert.NotNull(p.grad); // within the window
        optimizer.accumulate(2); // begins anew
        optimizer.step();
        Compare.Identical(ones(1), p, "still within");
        optimizer.step();
        Compare.Close(full(1, -1f), p, "half of the gradient");
        Assert.Equal(2, optimizer.LastStep.GradNorm, Tolerance.Float32);
        optimizer.zero_grad();
        Assert.Null(p.grad);
        using var wrapped = stab.optim.ClippedOptimizer(optim.SGD([p], 1), GradientClip.ByValue(100));
        p.grad = full(1, 4f);
        wrapped.accumulate(2);
        wrapped.step();
        wrapped.zero_grad();
        wrapped.step();
        Compare.Close(full(1, -3f), p, "the same");
        p.grad = full(1, 4f);
        wrapped.zero_grad(set_to_none: false);
        Compare.Identical(zeros(1), p.grad!, "zeroed");
    }

    [Fact]
    public void A_parameter_that_is_gone_is_named_by_group_and_place()
    {
        using var scope = NewDisposeScope();
        Parameter[] all = [Make.Parameter(ones(1)), Make.Parameter(ones(1)), Make.Parameter(ones(1))];
        using var optimizer = stab.optim.SGD([new SGD.ParamGroup([all[0]]), new([all[1], all[2]])], 1);
        all[2].grad = full(1, float.NaN);
        optimizer.step();
        Assert.Equal("parameter 1 of group 1", optimizer.LastStep.FirstNonFinite);
        all[0].grad = full(1, float.NaN);
        optimizer.step();
        Assert.Equal("parameter 0", optimizer.LastStep.FirstNonFinite);
        all[1].Dispose();
        Assert.Contains("parameter 0 of group 1 no longer exists", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Rules_of_groups_are_decided_apart_and_reported_together()
    {
        using var scope = NewDisposeScope();
        var (a, b, c) = (Make.Parameter(full(1, 3.0, ScalarType.Float64)), Make.Parameter(full(1, 4.0, ScalarType.Float64)),
            Make.Parameter(full(1, 12.0, ScalarType.Float64)));
        using var optimizer = stab.optim.SGD([new SGD.ParamGroup([a, b], global_clipnorm: 1), new([c], clipnorm: 24)], 1);
        optimizer.step();
        Assert.Equal(new StepReport { GradNorm = 13, Coefficient = 0.2, Clipped = true }, optimizer.LastStep);
        Compare.Close(full(1, 1 - 0.6, ScalarType.Float64), a, "a");
        Compare.Close(full(1, 1 - 0.8, ScalarType.Float64), b, "b");
        Compare.Close(full(1, -11.0, ScalarType.Float64), c, "c");
        using var order = stab.optim.SGD([a, b], 1);
        order.Clip = GradientClip.ByGlobalNorm(100, 1);
        order.step();
        Assert.Equal(7, order.LastStep.GradNorm, Tolerance.Float64);
    }

    private static void Named(string argument, Action call) => Assert.Equal(argument, Assert.Throws<ArgumentNullException>(call).ParamName);
}
