using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab.Tests.Optimization;

/// <summary>Warm-up schedules are closed forms of the step count that continue from a saved state.</summary>
public class WarmupSchedulerTests
{
    [Fact]
    public void Cosine_follows_its_formula()
    {
        using var optimizer = New(0.2);
        var schedule = stab.optim.lr_scheduler.WarmupCosine(optimizer, warmup_steps: 4, total_steps: 12, min_ratio: 0.1);
        for (int k = 0; k < 15; k++, schedule.step())
        {
            double expected = k < 4 ? k / 4.0 : k >= 12 ? 0.1 : 0.1 + (0.9 * (1 + Math.Cos(Math.PI * (k - 4) / 8)) / 2);
            Assert.Equal(0.2 * expected, Rate(optimizer), 1e-15);
            Assert.Equal(Rate(optimizer), schedule.get_last_lr().Single());
        }
    }

    [Fact]
    public void Stable_decay_follows_its_formula()
    {
        using var optimizer = New(0.2);
        var schedule = stab.optim.lr_scheduler.WarmupStableDecay(optimizer, warmup_steps: 2, stable_steps: 3, decay_steps: 4, min_ratio: 0.5);
        double[] expected = [0, 0.5, 1, 1, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.5];
        foreach (double ratio in expected)
        {
            Assert.Equal(0.2 * ratio, Rate(optimizer), 1e-15);
            schedule.step();
        }
    }

    [Fact]
    public void Without_warm_up_or_decay_the_rate_is_full_or_least_at_once()
    {
        using var optimizer = New(1);
        stab.optim.lr_scheduler.WarmupCosine(optimizer, 0, 10);
        Assert.Equal(1, Rate(optimizer));
        stab.optim.lr_scheduler.WarmupCosine(optimizer, 0, 0, min_ratio: 0.25);
        Assert.Equal(0.25, Rate(optimizer));
        stab.optim.lr_scheduler.WarmupStableDecay(optimizer, 0, 0, 0, min_ratio: 0.25);
        Assert.Equal(0.25, Rate(optimizer));
    }

    [Fact]
    public void A_saved_schedule_continues_exactly()
    {
        using var first = Groups(0.3, 0.01);
        using var second = Groups(9, 9);
        var a = stab.optim.lr_scheduler.WarmupCosine(first, 3, 20);
        for (int k = 0; k < 7; k++) a.step();
        var b = stab.optim.lr_scheduler.WarmupCosine(second, 3, 20);
        b.load_state_dict(a.state_dict());
        for (int k = 0; k < 20; k++, a.step(), b.step())
        {
            Assert.Equal(first.ParamGroups.Select(g => g.LearningRate), second.ParamGroups.Select(g => g.LearningRate));
            Assert.Equal(a.state_dict(), b.state_dict());
        }
        Assert.Equal(27, b.StepCount);
    }

    [Fact]
    public void Drives_the_optimizers_of_torch_and_wrapped_ones()
    {
        using var net = Make.Network(1);
        using var theirs = SGD(net.parameters(), 0.1);
        using var wrapped = stab.optim.ClippedOptimizer(SGD(net.parameters(), 0.1), GradientClip.ByNorm(1));
        foreach (var optimizer in new Optimizer[] { theirs, wrapped })
        {
            var schedule = stab.optim.lr_scheduler.WarmupStableDecay(optimizer, 2, 1, 1);
            schedule.step();
            Assert.Equal(0.05, Rate(optimizer), 1e-15);
            schedule.step(3);
            Assert.Equal(0.1, Rate(optimizer), 1e-15);
            schedule.step(null);
            Assert.Equal(0, Rate(optimizer));
        }
    }

    [Fact]
    public void Steps_that_a_policy_skipped_need_not_count()
    {
        using var parameter = new TorchSharp.Modules.Parameter(ones(2));
        using var optimizer = stab.optim.SGD([parameter], 1);
        var schedule = stab.optim.lr_scheduler.WarmupCosine(optimizer, 10, 20);
        schedule.CountSkippedSteps = false;
        foreach (double gradient in new[] { 1, double.NaN, double.PositiveInfinity, 1 })
        {
            parameter.grad = full(2, gradient);
            optimizer.step();
            schedule.step();
        }
        Assert.Equal(2, schedule.StepCount);
        schedule.CountSkippedSteps = true;
        parameter.grad = full(2, double.NaN);
        optimizer.step();
        schedule.step();
        Assert.Equal(3, schedule.StepCount);
    }

    [Fact]
    public void Wrong_arguments_are_named()
    {
        using var optimizer = New(1);
        Assert.Throws<ArgumentNullException>("optimizer", () => stab.optim.lr_scheduler.WarmupCosine(null!, 1, 2));
        Assert.Throws<ArgumentOutOfRangeException>("warmup_steps", () => stab.optim.lr_scheduler.WarmupCosine(optimizer, -1, 2));
        Assert.Throws<ArgumentOutOfRangeException>("total_steps", () => stab.optim.lr_scheduler.WarmupCosine(optimizer, 3, 2));
        Assert.Throws<ArgumentOutOfRangeException>("min_ratio", () => stab.optim.lr_scheduler.WarmupCosine(optimizer, 1, 2, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("stable_steps", () => stab.optim.lr_scheduler.WarmupStableDecay(optimizer, 1, -2, 1));
        Assert.Throws<ArgumentOutOfRangeException>("decay_steps", () => stab.optim.lr_scheduler.WarmupStableDecay(optimizer, 1, 1, -1));
        Assert.Throws<ArgumentOutOfRangeException>("epoch", () => stab.optim.lr_scheduler.WarmupCosine(optimizer, 1, 2).step(-1));
    }

    [Fact]
    public void A_state_that_does_not_fit_changes_nothing()
    {
        using var optimizer = New(1);
        var schedule = stab.optim.lr_scheduler.WarmupCosine(optimizer, 10, 20);
        schedule.step();
        var before = schedule.state_dict();
        Dictionary<string, double>[] wrong =
        [
            [], new(before) { ["other"] = 1 }, new() { ["last_epoch"] = 2 }, new(before) { ["last_epoch"] = -5 }, new(before) { ["last_epoch"] = 0.5 },
            new(before) { ["last_epoch"] = double.NaN }, new(before) { ["base_lrs.0"] = double.PositiveInfinity }, new(before) { ["base_lrs.0"] = -1 },
        ];
        foreach (var state in wrong) Assert.Throws<ArgumentException>("state_dict", () => schedule.load_state_dict(state));
        Assert.Throws<ArgumentNullException>("state_dict", () => schedule.load_state_dict(null!));
        Assert.Equal(before, schedule.state_dict());
        Assert.Equal(0.1, Rate(optimizer), 1e-15);
    }

    private static Modules.SGD New(double lr) => stab.optim.SGD([new TorchSharp.Modules.Parameter(ones(2))], lr);

    private static Modules.SGD Groups(params double[] rates) =>
        stab.optim.SGD(rates.Select(lr => new Modules.SGD.ParamGroup([new TorchSharp.Modules.Parameter(ones(2))], lr: lr)), 1);

    private static double Rate(Optimizer optimizer) => optimizer.ParamGroups.First().LearningRate;
}
