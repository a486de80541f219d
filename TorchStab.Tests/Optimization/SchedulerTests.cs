using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;
using Schedule = System.Func<TorchSharp.torch.optim.Optimizer, TorchSharp.torch.optim.lr_scheduler.LRScheduler>;

namespace TorchStab.Tests.Optimization;

/// <summary>TorchSharp's schedulers drive TorchStab's optimizers as they drive its own.</summary>
public class SchedulerTests
{
    private static readonly Dictionary<string, Schedule> Schedules = new()
    {
        ["StepLR"] = o => lr_scheduler.StepLR(o, 2),
        ["ExponentialLR"] = o => lr_scheduler.ExponentialLR(o, 0.9),
        ["CosineAnnealingLR"] = o => lr_scheduler.CosineAnnealingLR(o, 5),
        ["LambdaLR"] = o => lr_scheduler.LambdaLR(o, e => 1.0 / (e + 1)),
        ["LinearLR"] = o => lr_scheduler.LinearLR(o),
        ["OneCycleLR"] = o => lr_scheduler.OneCycleLR(o, 0.1, total_steps: 8),
        ["ReduceLROnPlateau"] = o => lr_scheduler.ReduceLROnPlateau(o, patience: 1),
        ["CyclicLR"] = o => lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up: 2, cycle_momentum: o is IMomentum),
    };

    public static TheoryData<string> Names => [.. Schedules.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Ours_and_wrapped_ones_follow_as_TorchSharps_do(string name)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var b = Make.Network(1);
        using var c = Make.Network(1);
        foreach (bool adam in new[] { true, false })
        {
            using Optimizer theirs = adam ? Adam(a.parameters(), 0.05) : SGD(a.parameters(), 0.05, 0.9);
            using Optimizer ours = adam ? stab.optim.Adam(b.parameters(), 0.05) : stab.optim.SGD(b.parameters(), 0.05, 0.9);
            using var wrapped = stab.optim.ClippedOptimizer(adam ? Adam(c.parameters(), 0.05) : SGD(c.parameters(), 0.05, 0.9), GradientClip.ByNorm(1e9));
            var schedulers = new[] { Schedules[name](theirs), Schedules[name](ours), Schedules[name](wrapped) };
            for (int step = 0; step < 6; step++)
            {
                ClippingAwareOptimizerTests.Step(theirs, a, step);
                ClippingAwareOptimizerTests.Step(ours, b, step);
                ClippingAwareOptimizerTests.Step(wrapped, c, step);
                foreach (var s in schedulers) s.step(1.0);
                Assert.Equal(theirs.ParamGroups.First().LearningRate, ours.ParamGroups.First().LearningRate);
                Assert.Equal(theirs.ParamGroups.First().LearningRate, wrapped.ParamGroups.First().LearningRate);
            }
            ClippingAwareOptimizerTests.AssertSame(b, a);
            ClippingAwareOptimizerTests.AssertSame(c, a);
        }
    }
}
