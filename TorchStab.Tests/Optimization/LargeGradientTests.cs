using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>Finite gradients whose squares, sums or updates are not: left to the policy, or right.</summary>
public class LargeGradientTests
{
    private static readonly Func<IEnumerable<(string, Parameter)>, ClippingAwareOptimizer>[] Optimizers =
    [
        .. Make.Optimizers.Values,
        p => stab.optim.RMSprop(p, 0.01),
        p => stab.optim.RMSprop(p, 0.01, centered: true),
        p => stab.optim.RMSprop(p, 0.01, momentum: 0.9),
        p => stab.optim.SGD(p, 100, 0.9),
    ];

    public static TheoryData<int, ScalarType, double, bool> Cases
    {
        get
        {
            var cases = new TheoryData<int, ScalarType, double, bool>();
            for (int k = 0; k < Optimizers.Length; k++)
                foreach (var (dtype, gradient) in new[] { (ScalarType.Float32, 3e25), (ScalarType.Float32, 3.4e38), (ScalarType.BFloat16, 3.3e38),
                    (ScalarType.Float64, 1.7e308), (ScalarType.Float64, 1e160), (ScalarType.Float16, 6e4) })
                {
                    cases.Add(k, dtype, gradient, true);
                    cases.Add(k, dtype, gradient, false);
                }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_is_finite_or_left_out_whole(int which, ScalarType dtype, double gradient, bool kernels)
    {
        using var scope = NewDisposeScope();
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        var (small, large) = (new Parameter(ones(7, dtype)), new Parameter(ones(7, dtype)));
        using var optimizer = Optimizers[which]([("small", small), ("large", large)]);
        optimizer.Clip = GradientClip.Percentile(100);
        for (int step = 0; step < 4; step++)
        {
            bool spike = step is 0 or 2;
            small.grad = full(7, 0.5, dtype);
            large.grad = full(7, 0.5, dtype);
            if (spike) large.grad[3] = -gradient;
            var before = Everything(optimizer, small, large);
            using var memory = new MemoryStream();
            optimizer.save_state_dict(new BinaryWriter(memory));
            optimizer.step();
            var after = Everything(optimizer, small, large);
            Assert.All(after, t => Assert.True(t.isfinite().all().item<bool>()));
            if (!optimizer.LastStep.Skipped) continue;
            Assert.True(spike);
            Assert.Equal("large", optimizer.LastStep.FirstNonFinite);
            Assert.Equal(before.Count, after.Count);
            foreach (var (x, y) in before.Zip(after)) Compare.Identical(x, y, "anything");
            using var now = new MemoryStream();
            optimizer.save_state_dict(new BinaryWriter(now));
            Assert.Equal(memory.ToArray(), now.ToArray()); // steps and the rule's memory too
        }
        Assert.Equal(4, optimizer.Counters.Steps);
    }

    [Fact]
    public void The_first_that_overflows_is_named_and_the_error_says_so()
    {
        using var scope = NewDisposeScope();
        var (fine, bad) = (Make.Parameter(full(3, 1e16f)), Make.Parameter(full(3, 3e25f)));
        using var optimizer = stab.optim.RMSprop([("fine", fine), ("bad", bad)], centered: true, momentum: 0.9, nonFinite: NonFinitePolicy.Throw);
        string words = Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message;
        Assert.Contains("The gradient of bad is finite, but so large that its update is not; nothing was changed", words, StringComparison.Ordinal);
        Compare.Identical(ones(3), fine, "the one that could be stepped");
        Assert.Null(((RMSprop.State)optimizer.state_dict().State[0]).momentum_buffer is { } b && b.abs().max().item<float>() > 0 ? b : null);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Large_gradients_that_fit_are_stepped_as_ever(bool kernels)
    {
        using var scope = NewDisposeScope();
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        foreach (var make in Optimizers[..8])
        {
            Parameter[] careful = [new(ones(5)), new(ones(4))], plain = [new(ones(5)), new(ones(4))];
            using var a = make([("p", careful[0]), ("q", careful[1])]);
            using var b = make([("p", plain[0]), ("q", plain[1])]);
            b.NonFinite = NonFinitePolicy.Propagate; // takes no second look
            foreach (double size in new[] { 1e17, 3.0, 1e18 })
            {
                (careful[0].grad, careful[1].grad) = (full(5, size), full(4, 2.0f));
                (plain[0].grad, plain[1].grad) = (full(5, size), full(4, 2.0f));
                a.step();
                b.step();
                Assert.False(a.LastStep.Skipped);
                Assert.Equal(b.LastStep, a.LastStep);
                foreach (var (x, y) in Everything(b, plain).Zip(Everything(a, careful))) Compare.Identical(x, y, "anything");
            }
        }
    }

    [Fact]
    public void Clipped_to_an_ordinary_norm_they_are_stepped()
    {
        using var scope = NewDisposeScope();
        foreach (var clip in new[] { GradientClip.ByGlobalNorm(1), GradientClip.ByNorm(1), GradientClip.ByValue(1), GradientClip.ByBlockRms(1),
            GradientClip.ByGlobalNorm(1, 1), GradientClip.Adaptive(0.1) })
        {
            var p = new Parameter(ones(4)) { grad = full(4, 3e25f) };
            using var optimizer = stab.optim.SGD([p], 1);
            optimizer.Clip = clip;
            optimizer.step();
            Assert.False(optimizer.LastStep.Skipped);
            Assert.True(p.isfinite().all().item<bool>() && p.max().item<float>() is < 1 and >= 0, $"{p[0].item<float>()}");
        }
    }

    [Fact]
    public void Propagate_steps_as_PyTorch_does()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(3, 3e25f));
        using var optimizer = stab.optim.RMSprop([p], centered: true, nonFinite: NonFinitePolicy.Propagate);
        optimizer.step();
        Assert.True(optimizer.LastStep is { Skipped: false, FirstNonFinite: null });
        Assert.True(p.isnan().all().item<bool>());
    }

    [Fact]
    public void What_was_not_finite_before_is_not_held_against_the_step()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(tensor(new[] { float.PositiveInfinity, 1 })) { grad = tensor(new[] { 1, 1e16f }) };
        using var optimizer = stab.optim.SGD([p], 1e-10);
        optimizer.step();
        Assert.False(optimizer.LastStep.Skipped);
        Compare.Close(tensor(new[] { float.PositiveInfinity, -999_999 }), p, "parameter");
    }

    [Fact]
    public void A_step_taken_back_leaves_no_tensor_and_counts_towards_the_limit()
    {
        using var scope = NewDisposeScope();
        using var p = Make.Parameter(full(300, 3e25f));
        using var optimizer = stab.optim.Adam([("p", p)], nonFinite: NonFinitePolicy.Skip(1000));
        LiveTensors.AssertNoneLeft(() => optimizer.step());
        optimizer.NonFinite = NonFinitePolicy.Skip(1);
        Assert.Contains("had a gradient that overflows its update, first in p", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message,
            StringComparison.Ordinal);
    }

    private static List<Tensor> Everything(ClippingAwareOptimizer optimizer, params Parameter[] parameters) =>
        [.. parameters.Concat(optimizer.state_dict().State.SelectMany(s => ((MomentState)s).Moments())).Select(t => t.detach().clone())];
}
