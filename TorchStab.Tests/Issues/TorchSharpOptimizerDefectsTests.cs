using static TorchSharp.torch;
using Optimizer = TorchSharp.torch.optim.Optimizer;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab.Tests.Issues;

/// <summary>Optimizers and clipping of TorchSharp 0.107.0 that move weights wrongly, and the same call here.</summary>
public class TorchSharpOptimizerDefectsTests
{
    [Fact]
    public void An_idle_parameter_keeps_moving_after_zero_grad_there_and_rests_here()
    {
        using var scope = NewDisposeScope();
        Assert.NotEqual(0.9, AfterAnIdleStep(p => optim.SGD([p], 0.1, momentum: 0.9)), 4);
        Assert.Equal(0.9, AfterAnIdleStep(p => stab.optim.SGD([p], 0.1, momentum: 0.9)), 4);
    }

    [Fact]
    public void SGD_that_climbs_grows_weights_by_decay_there_and_shrinks_them_here()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(10.5, AfterOneStep(10, gradient: 0, p => optim.SGD([p], 0.1, weight_decay: 0.5, maximize: true)), 4);
        Assert.Equal(9.5, AfterOneStep(10, gradient: 0, p => stab.optim.SGD([p], 0.1, weight_decay: 0.5, maximize: true)), 4);
    }

    [Fact]
    public void AdamW_decays_nothing_by_default_there_and_a_hundredth_of_lr_here()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(10, AfterOneStep(10, gradient: 0, p => optim.AdamW([p], 0.1)), 4);
        Assert.Equal(9.99, AfterOneStep(10, gradient: 0, p => stab.optim.AdamW([p], 0.1)), 4);
    }

    [Fact]
    public void One_NaN_gradient_ruins_Adam_for_ever_there_and_is_skipped_here()
    {
        using var scope = NewDisposeScope();
        Assert.True(double.IsNaN(AfterNaN(p => optim.Adam([p], 0.1))));
        Assert.Equal(9.9, AfterNaN(p => stab.optim.Adam([p], 0.1)), 4);
    }

    [Fact]
    public void A_negative_bound_reverses_gradients_there_and_is_an_error_here()
    {
        using var scope = NewDisposeScope();
        var p = WithGradient(0, 2);
        nn.utils.clip_grad_norm_([p], -1);
        Assert.True(p.grad!.item<float>() < 0);
        Assert.ThrowsAny<ArgumentException>(() => stab.nn.utils.clip_grad_norm_([WithGradient(0, 2)], -1));
    }

    [Fact]
    public void Clipping_half_precision_gradients_zeroes_them_there_and_scales_them_here()
    {
        using var scope = NewDisposeScope();
        var (theirs, ours) = (HalfWithGradient(), HalfWithGradient());
        nn.utils.clip_grad_norm_([theirs], 1);
        double norm = stab.nn.utils.clip_grad_norm_([ours], 1);
        Assert.Equal(0, theirs.grad!.to(ScalarType.Float32).abs().max().item<float>());
        Assert.Equal(90_000, norm, 100.0);
        Assert.Equal(1, ours.grad!.to(ScalarType.Float32).norm().item<float>(), 0.01);
    }

    private static Parameter WithGradient(double value, double gradient)
    {
        var p = new Parameter(tensor(new[] { (float)value }));
        p.grad = tensor(new[] { (float)gradient });
        return p;
    }

    // Nine elements of 30,000: a norm of 90,000, beyond float16's 65,504.
    private static Parameter HalfWithGradient()
    {
        var p = new Parameter(zeros(9, ScalarType.Float16));
        p.grad = full([9], 30_000, ScalarType.Float16);
        return p;
    }

    private static double AfterOneStep(double value, double gradient, Func<Parameter, Optimizer> create)
    {
        var p = WithGradient(value, gradient);
        using var optimizer = create(p);
        optimizer.step();
        return p.item<float>();
    }

    private static double AfterAnIdleStep(Func<Parameter, Optimizer> create)
    {
        var p = WithGradient(1, 1);
        using var optimizer = create(p);
        optimizer.step();
        optimizer.zero_grad();
        optimizer.step();
        return p.item<float>();
    }

    private static double AfterNaN(Func<Parameter, Optimizer> create)
    {
        var p = WithGradient(10, double.NaN);
        using var optimizer = create(p);
        optimizer.step();
        p.grad = ones(1);
        optimizer.step();
        return p.item<float>();
    }
}
