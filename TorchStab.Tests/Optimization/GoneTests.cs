using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>Optimizers, and parameters of theirs, that were disposed.</summary>
public class GoneTests
{
    /// <summary>An optimizer that is gone says so, and no file of it takes the place of a good one.</summary>
    [Fact]
    public void A_disposed_optimizer_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(2, 4f));
        var own = stab.optim.SGD([p], 1, momentum: 0.9);
        var around = stab.optim.ClippedOptimizer(stab.optim.Adam([p]), GradientClip.ByNorm(1));
        var (state, inner) = (own.state_dict(), around.state_dict());
        own.Dispose();
        around.Dispose();
        Action[] calls =
        [
            () => own.step(), () => own.state_dict(), () => own.load_state_dict(state), () => own.save_state_dict(new BinaryWriter(Stream.Null)),
            () => own.load_state_dict(new BinaryReader(Stream.Null)), () => own.rebind([("p", p)]),
            () => own.add_param_group(new TorchStab.Modules.SGD.ParamGroup([p])),
            () => own.MomentDtype = ScalarType.Float64,
            () => around.step(), () => around.state_dict(), () => around.load_state_dict(inner), () => around.save_state_dict(new BinaryWriter(Stream.Null)),
            () => around.load_state_dict(new BinaryReader(Stream.Null)), () => around.rebind(nn.Linear(1, 1)),
            () => around.add_param_group(new TorchStab.Modules.Adam.ParamGroup([p])),
        ];
        foreach (var call in calls) Assert.Throws<ObjectDisposedException>(call);
    }

    [Fact]
    public void The_state_of_a_parameter_that_is_gone_is_refused_before_anything_is_written()
    {
        using var scope = NewDisposeScope();
        var (first, second) = (Make.Parameter(ones(2)), Make.Parameter(ones(2)));
        using var optimizer = stab.optim.SGD([first], 1, momentum: 0.9);
        first.Dispose();
        foreach (var call in new Action[]
            {
                () => optimizer.state_dict(), () => optimizer.save_state_dict(new BinaryWriter(Stream.Null)),
                () => optimizer.add_param_group(new TorchStab.Modules.SGD.ParamGroup([second])),
            })
            Assert.Contains("no longer exists", Assert.Throws<InvalidOperationException>(call).Message, StringComparison.Ordinal);
        Assert.Single(optimizer.ParamGroups);
    }
}
