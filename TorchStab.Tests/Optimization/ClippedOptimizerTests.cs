using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

public class ClippedOptimizerTests
{
    [Fact]
    public void LBFGS_is_clipped_at_every_evaluation()
    {
        using var scope = NewDisposeScope();
        var (p, q) = (new Parameter(full(2, 3.0, ScalarType.Float64)), new Parameter(full(2, 3.0, ScalarType.Float64)));
        using var plain = optim.LBFGS([q], 0.1);
        using var clipped = stab.optim.ClippedOptimizer(optim.LBFGS([p], 0.1), GradientClip.ByGlobalNorm(0.5));
        for (int step = 0; step < 3; step++)
        {
            plain.step(() => Loss(q, g => stab.nn.utils.clip_grad_norm_(g, 0.5))).Dispose();
            clipped.step(() => Loss(p, _ => 0)).Dispose();
            Compare.Identical(q, p, "parameter");
        }
        Assert.True(clipped.LastStep is { Clipped: true, Skipped: false });
        Assert.Equal(new StepCounters(3, 3, 0), clipped.Counters);
        Assert.Throws<ArgumentNullException>(() => clipped.step());
        Assert.Throws<InvalidOperationException>(() => clipped.accumulate(2));
        Assert.Throws<InvalidOperationException>(() => clipped.state_dict());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void A_bad_evaluation_of_LBFGS_puts_the_parameters_back(int badCall)
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(full(2, 3.0, ScalarType.Float64));
        using var optimizer = stab.optim.ClippedOptimizer(optim.LBFGS([p], 0.1), GradientClip.ByGlobalNorm(10), named_parameters: [("weights", p)]);
        optimizer.step(() => Loss(p, _ => 0)).Dispose();
        var before = p.detach().clone();
        int call = 0;
        optimizer.step(() => Loss(p, _ => call++ == badCall ? Poison(p) : 0)).Dispose();
        Compare.Identical(before, p, "put back");
        Assert.Null(p.grad);
        Assert.True(optimizer.LastStep is { Skipped: true, FirstNonFinite: "weights", ConsecutiveSkips: 1 });
        optimizer.step(() => Loss(p, _ => 0)).Dispose();
        Assert.True(p.isfinite().all().item<bool>() && !p.equal(before).all().item<bool>());
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(1e308)]
    public void Options_of_the_inner_optimizer_that_make_NaN_are_refused_wherever_they_enter(double bad)
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(full(2, 3.0f)) { grad = ones(2) };
        foreach (Func<optim.Optimizer> make in new Func<optim.Optimizer>[] { () => optim.Adam([p], bad), () => optim.SGD([p], 0.1, bad),
            () => optim.RMSProp([p], 0.1, alpha: bad), () => optim.AdamW([p], weight_decay: bad) })
            Assert.Throws<ArgumentException>("inner", () => stab.optim.ClippedOptimizer(make(), GradientClip.ByNorm(1)));
        using var inner = optim.Adam([p], 0.1);
        using var optimizer = stab.optim.ClippedOptimizer(inner, GradientClip.ByNorm(1));
        using var file = new MemoryStream();
        inner.ParamGroups.Single().LearningRate = bad;
        optimizer.save_state_dict(new BinaryWriter(file));
        Assert.Contains("expected a finite lr of Adam", Assert.Throws<ArgumentException>(() => optimizer.step()).Message, StringComparison.Ordinal);
        Compare.Identical(full(2, 3.0f), p, "unchanged");
        Compare.Identical(ones(2), p.grad!, "not clipped");
        inner.ParamGroups.Single().LearningRate = 0.1;
        file.Position = 0;
        Assert.Throws<InvalidDataException>(() => optimizer.load_state_dict(new BinaryReader(file)));
        Assert.Equal(0.1, inner.ParamGroups.Single().LearningRate);
        optimizer.step();
        Assert.True(p.isfinite().all().item<bool>());
    }

    [Fact]
    public void An_exception_in_LBFGSs_closure_comes_out()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(full(2, 3.0, ScalarType.Float64));
        using var optimizer = stab.optim.ClippedOptimizer(optim.LBFGS([p], 0.1), GradientClip.ByGlobalNorm(10));
        int call = 0;
        var error = Assert.Throws<InvalidTimeZoneException>(() =>
            optimizer.step(() => call++ < 2 ? Loss(p, _ => 0) : throw new InvalidTimeZoneException("mine")));
        Assert.Equal("mine", error.Message);
        Compare.Identical(full(2, 3.0, ScalarType.Float64), p, "put back");
        Assert.Null(p.grad);
    }

    [Fact]
    public void LBFGSs_report_is_of_the_evaluation_clipped_hardest()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(full(2, 3.0, ScalarType.Float64));
        using var optimizer = stab.optim.ClippedOptimizer(optim.LBFGS([p], 0.1), GradientClip.ByGlobalNorm(0.5));
        List<double> norms = [];
        optimizer.step(() => Loss(p, _ =>
        {
            norms.Add(p.grad!.norm().item<double>());
            return 0;
        })).Dispose();
        Assert.True(norms.Count > 1 && norms.Min() < norms.Max());
        Assert.Equal(norms.Max(), optimizer.LastStep.GradNorm, Tolerance.Float64 * norms.Max());
        Assert.Equal(0.5 / norms.Max(), optimizer.LastStep.Coefficient, 6);
    }

    [Fact]
    public void Around_LBFGS_nothing_is_left()
    {
        using var p = new Parameter(full(2, 3.0, ScalarType.Float64));
        LiveTensors.AssertNoneLeft(() =>
        {
            using var optimizer = stab.optim.ClippedOptimizer(optim.LBFGS([p], 0.1), GradientClip.ByGlobalNorm(0.5));
            optimizer.step(() => Loss(p, _ => 0)).Dispose();
            Assert.Throws<InvalidTimeZoneException>(() => optimizer.step(() => throw new InvalidTimeZoneException()));
        });
    }

    [Fact]
    public void Any_rule_on_any_optimizer()
    {
        using var scope = NewDisposeScope();
        foreach (var clip in Make.Rules(0.05))
        {
            using var a = Make.Network(1);
            using var b = Make.Network(1);
            using var wrapped = stab.optim.ClippedOptimizer(optim.Adamax(a.parameters()), clip, named_parameters: a.named_parameters());
            using var plain = optim.Adamax(b.parameters());
            for (int step = 0; step < 3; step++)
            {
                ClippingAwareOptimizerTests.Step(wrapped, a, step);
                foreach (var p in b.parameters()) p.grad = null;
                Make.Backward(b, step);
                foreach (var (p, q) in a.parameters().Zip(b.parameters())) q.grad!.copy_(p.grad!);
                plain.step();
            }
            ClippingAwareOptimizerTests.AssertSame(a, b);
            Assert.Equal(3, wrapped.Counters.Steps);
        }
    }

    [Fact]
    public void A_file_keeps_the_memory_of_the_rule()
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var original = stab.optim.ClippedOptimizer(optim.Adagrad(a.parameters()), GradientClip.Percentile(20, 4));
        for (int step = 0; step < 6; step++) ClippingAwareOptimizerTests.Step(original, a, step);
        string file = Path.GetTempFileName();
        try
        {
            original.save_state_dict(file);
            using var b = Make.Network(2);
            b.load_state_dict(a.state_dict());
            using var restored = stab.optim.ClippedOptimizer(optim.Adagrad(b.parameters()), GradientClip.Percentile(20, 4));
            restored.load_state_dict(file);
            using var alone = optim.Adagrad(b.parameters());
            alone.load_state_dict(file);
            for (int step = 6; step < 9; step++)
            {
                ClippingAwareOptimizerTests.Step(original, a, step);
                ClippingAwareOptimizerTests.Step(restored, b, step);
                Assert.Equal(original.LastStep, restored.LastStep);
            }
            foreach (var (p, q) in a.parameters().Zip(b.parameters())) Compare.Identical(p, q, "parameter");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Accumulation_skips_and_leaks_are_as_in_TorchStabs_own()
    {
        using var network = Make.Network(1);
        using var optimizer = stab.optim.ClippedOptimizer(optim.Adadelta(network.parameters()), GradientClip.ByNorm(0.1));
        optimizer.accumulate(2);
        LiveTensors.AssertNoneLeft(() =>
        {
            ClippingAwareOptimizerTests.Step(optimizer, network, 1);
            ClippingAwareOptimizerTests.Step(optimizer, network, 2);
            optimizer.zero_grad();
        });
        Assert.Equal(21, optimizer.Counters.Steps);
        optimizer.accumulate(1);
        Make.Backward(network, 1);
        network.parameters().First().grad!.fill_(double.NaN);
        optimizer.step();
        Assert.All(network.parameters(), p => Assert.True(p.isfinite().all().item<bool>()));
        Assert.True(optimizer.LastStep is { Skipped: true, FirstNonFinite: "parameter 0" });
        optimizer.NonFinite = NonFinitePolicy.Throw;
        Assert.Throws<InvalidOperationException>(() => optimizer.step());
        Assert.Throws<ArgumentNullException>(() => stab.optim.ClippedOptimizer(null!, GradientClip.ByNorm(1)));
        Assert.Throws<ArgumentNullException>(() => stab.optim.ClippedOptimizer(optimizer, null!));
    }

    [Fact]
    public void Seen_as_any_optimizer_it_forgets_gradients_and_disposes_the_inner_one()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(2));
        var inner = stab.optim.Adam([p]);
        var moment = ((TorchStab.Modules.Adam.State)inner.state_dict().State[0]).exp_avg;
        optim.Optimizer wrapped = stab.optim.ClippedOptimizer(inner, GradientClip.ByNorm(1));
        foreach (var optimizer in new[] { wrapped, inner })
        {
            p.grad = ones(2);
            optimizer.zero_grad();
            Assert.Null(p.grad);
        }
        wrapped.Dispose();
        Assert.True(moment.IsInvalid);
    }

    private static double Poison(Parameter p)
    {
        p.grad![1] = double.NaN;
        return 0;
    }

    private static Tensor Loss(Parameter p, Func<Parameter[], double> change)
    {
        p.grad = null;
        using var scope = NewDisposeScope();
        var loss = (p - tensor(new[] { 1.0, -2.0 })).pow(4).sum();
        loss.backward();
        change([p]);
        return loss.MoveToOuterDisposeScope();
    }
}
