using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchStab.stab.nn.functional;

namespace TorchStab.Tests.Clipping;

/// <summary>scale_gradient, clip_gradient and watch_gradient: the identity forwards, their formula backwards, in both kinds of autograd node.</summary>
public class GradientsInGraphTests
{
    private static readonly ScalarType[] Dtypes = [ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16];

    [Fact]
    public void Scale_gradient_multiplies_on_the_way_back() => InBothPlugs(() =>
    {
        foreach (var dtype in Dtypes)
        {
            var x = randn([3, 4], dtype).requires_grad_();
            var y = F.scale_gradient(x, -0.5);
            Compare.Identical(x.detach(), y.detach(), "value");
            var upstream = randn([3, 4], dtype);
            y.backward([upstream]);
            Compare.Close(upstream * -0.5, x.grad, $"{dtype}");
        }
    });

    [Fact]
    public void Clip_gradient_bounds_the_norm() => InBothPlugs(() =>
    {
        foreach (var dtype in Dtypes)
            foreach (double bound in (double[])[0, 1e-308, 0.5, 1e4, 1e308, double.PositiveInfinity])
            {
                var x = randn([3, 4], dtype).requires_grad_();
                var y = F.clip_gradient(x, bound);
                Compare.Identical(x.detach(), y.detach(), "value");
                var upstream = randn([3, 4], dtype);
                y.backward([upstream]);
                double norm = upstream.to(ScalarType.Float64).norm().item<double>();
                Compare.Close((upstream.to(ScalarType.Float64) * Math.Min(1, bound / norm)).to(dtype), x.grad, $"{dtype}, {bound}");
            }
    });

    [Theory]
    [InlineData(ScalarType.Float16, 3e4)]
    [InlineData(ScalarType.Float32, 1e30)]
    [InlineData(ScalarType.BFloat16, 1e30)]
    [InlineData(ScalarType.Float64, 1e200)]
    public void A_gradient_whose_squares_overflow_is_clipped_all_the_same(ScalarType dtype, double value)
    {
        using var scope = NewDisposeScope();
        var x = zeros([100], dtype).requires_grad_();
        F.clip_gradient(x, 1).backward([full([100], value, dtype)]);
        Compare.Close(full([100], 0.1, dtype), x.grad, $"{dtype}");
    }

    [Fact]
    public void Zero_and_non_finite_gradients_pass_as_they_are()
    {
        using var scope = NewDisposeScope();
        foreach (double value in (double[])[0, double.NaN, double.PositiveInfinity])
        {
            var x = zeros([3], ScalarType.Float64).requires_grad_();
            var upstream = tensor(new[] { 1, value, 0 });
            if (value == 0) upstream.fill_(0);
            F.clip_gradient(x, 0.5).backward([upstream]);
            Compare.Identical(upstream, x.grad!, $"{value}");
        }
    }

    [Fact]
    public void Second_derivatives_are_those_of_the_formula() => InBothPlugs(() =>
    {
        foreach (double bound in (double[])[0.3, 1e3])
        {
            var x = randn([5], ScalarType.Float64).requires_grad_();
            var weight = randn([5], ScalarType.Float64);
            // The second gradient passes the tensor too, as it passes a hook of PyTorch's.
            Compare.Close(Second(x, y => y * 0.7, null) * 0.7, Second(x, y => y * 0.7, y => F.scale_gradient(y, 0.7)), "scale", Tolerance.SecondDerivative);
            Compare.Close(Clip(Second(x, Clip, null)), Second(x, Clip, y => F.clip_gradient(y, bound)), $"clip {bound}", Tolerance.SecondDerivative);

            Tensor Clip(Tensor g) => g * (bound / g.norm().clamp_min(bound));

            // g(x) by autograd through the identity, or by the formula applied to the plain gradient; then a gradient of that.
            Tensor Second(Tensor z, Func<Tensor, Tensor> formula, Func<Tensor, Tensor>? identity)
            {
                var y = identity is null ? z.alias() : identity(z);
                var first = autograd.grad([(y.pow(3) * weight).sum()], [identity is null ? y : z], retain_graph: true, create_graph: true)[0];
                return autograd.grad([((identity is null ? formula(first) : first).sin() * weight).sum()], [z])[0];
            }
        }
    });

    [Fact]
    public void Outputs_are_memory_of_their_own_and_nothing_leaks()
    {
        using var x = randn([3], ScalarType.Float32).requires_grad_();
        using var monitor = new GradientMonitor(nn.Identity());
        Func<Tensor, Tensor>[] all = [t => F.scale_gradient(t, 2), t => F.clip_gradient(t, 0.1), t => F.watch_gradient(t, "x", monitor)];
        foreach (var f in all)
        {
            using (var y = f(x)) using (no_grad()) y.detach().fill_(9);
            Assert.False(x.detach().eq(9).any().item<bool>());
            using (no_grad()) using (var y = f(x)) Assert.False(y.requires_grad);
            LiveTensors.AssertNoneLeft(() =>
            {
                using var scope = NewDisposeScope();
                f(x).square().sum().backward();
                x.grad = null;
            });
        }
    }

    [Fact]
    public void Input_and_output_may_be_changed_in_place_afterwards() => InBothPlugs(() =>
    {
        foreach (var f in (Func<Tensor, Tensor>[])[t => F.scale_gradient(t, 2), t => F.clip_gradient(t, 1e9) * 2])
        {
            var x = randn([4], ScalarType.Float64).requires_grad_();
            var h = x * 1;
            var y = f(h);
            h.mul_(3);
            y.relu_();
            (y.sum() + h.sum()).backward();
            Compare.Close(where(x.detach().gt(0), tensor(5.0), tensor(3.0)), x.grad, "gradient");
        }
    });

    [Fact]
    public void Wrong_arguments_are_refused()
    {
        using var x = randn(3);
        using var monitor = new GradientMonitor(nn.Identity());
        foreach (double bad in (double[])[double.NaN, double.PositiveInfinity])
            Assert.Equal("factor", Assert.Throws<ArgumentException>(() => F.scale_gradient(x, bad)).ParamName);
        foreach (double bad in (double[])[double.NaN, -1]) Assert.Equal("max_norm", Assert.Throws<ArgumentException>(() => F.clip_gradient(x, bad)).ParamName);
        Assert.Equal("name", Assert.Throws<ArgumentException>(() => F.watch_gradient(x, "", monitor)).ParamName);
        Assert.Equal("monitor", Assert.Throws<ArgumentNullException>(() => F.watch_gradient(x, "x", null!)).ParamName);
        Assert.Equal("x", Assert.Throws<ArgumentNullException>(() => F.scale_gradient(null!, 1)).ParamName);
    }

    private static void InBothPlugs(Action body)
    {
        var kind = AutogradPlug.Kind;
        try
        {
            foreach (var plug in (AutogradKind[])[AutogradKind.Pooled, AutogradKind.Function])
            {
                using var scope = NewDisposeScope();
                AutogradPlug.Kind = plug;
                manual_seed(7);
                body();
            }
        }
        finally
        {
            AutogradPlug.Kind = kind;
        }
    }
}
