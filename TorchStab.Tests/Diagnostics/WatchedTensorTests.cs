using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchStab.stab.nn.functional;

namespace TorchStab.Tests.Diagnostics;

/// <summary>Gradients and activations of tensors that no module returns.</summary>
public class WatchedTensorTests
{
    [Fact]
    public void The_first_gradient_that_is_not_finite_is_named()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var layer = nn.Linear(4, 4);
        using var monitor = new GradientMonitor(layer, new() { Every = 1 });
        // On the way back: out, ratio, root, in. The root of 0 has an infinite slope, so "root" gets finite gradients and "in" the first bad ones.
        var h = F.watch_gradient(layer.call(randn(2, 4)), "in", monitor);
        var root = F.watch_gradient((h - h).sqrt(), "root", monitor);
        F.watch_gradient(root * 2, "out", monitor).sum().backward();
        var report = monitor.Observe()!;
        Assert.Equal(["out", "root", "in"], report.Watched.Select(w => w.Name));
        Assert.Equal([0, 0, 1], report.Watched.Select(w => w.NonFiniteShare));
        Assert.Equal(Math.Sqrt(8), report.Watched[0].Norm, 1e-5);
        Assert.Equal(2, report.Watched[1].Max, 1e-6);
        Assert.Contains("watched root", report.ToString());
        var verdict = monitor.Judge().Model;
        Assert.Equal((VerdictKind.NonFinite, "in"), (verdict.Kind, verdict.Layer));
        Assert.Contains("between root and in", verdict.Evidence);
        Assert.Contains("follows from in", monitor.Judge().Layers[0].Remedy);
    }

    [Fact]
    public void Only_sampled_steps_are_looked_at_and_several_passes_add_up()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(2, 2);
        using var monitor = new GradientMonitor(layer, new() { Every = 2 });
        int[] expected = [2, 0, 2];
        foreach (int count in expected)
        {
            for (int pass = 0; pass < 2; pass++) F.watch_gradient(layer.call(randn(3, 2)), "y", monitor).square().sum().backward();
            Assert.Equal(count, monitor.Observe()?.Watched.Count ?? 0);
        }
        Assert.Equal(VerdictKind.Healthy, monitor.Judge().Model.Kind);
        monitor.Dispose();
        F.watch_gradient(layer.call(randn(3, 2)), "y", monitor).sum().backward();
    }

    [Fact]
    public void Logits_that_grow_are_a_verdict()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Sequential(("q", nn.Linear(4, 4)));
        using var monitor = new ActivationMonitor(layer, new() { Every = 1 });
        using var x = randn(3, 4);
        for (int i = 0; i < 3; i++)
        {
            layer.call(x);
            monitor.Watch("logits", full([2, 3], i == 0 ? 5 : -2e4));
            monitor.Watch("scores", full([2, 3], 5.0, ScalarType.BFloat16));
            monitor.Watch("scores", full([2, 3], 1e9));
        }
        Assert.Equal(["q", "logits", "scores"], monitor.Last!.Layers.Select(l => l.Layer));
        Assert.Equal([null, 2e4, 5], monitor.Last.Layers.Select(l => l.LargestMagnitude));
        var verdict = monitor.Judge().Model;
        Assert.Equal((VerdictKind.LargeLogits, "logits"), (verdict.Kind, verdict.Layer));
        Assert.Contains("logits beyond 1e+4: the largest is 2e+4", verdict.Evidence);
        Assert.Contains("normalize queries and keys", verdict.Remedy);
        monitor.Watch("logits", full([1], double.NaN));
        layer.call(x);
        monitor.Watch("logits", full([1], double.NaN));
        Assert.Equal((VerdictKind.NonFinite, "logits"), (monitor.Judge().Model.Kind, monitor.Judge().Model.Layer));
        Assert.Throws<ArgumentException>(() => monitor.Watch("", x));
        Assert.Equal("x", Assert.Throws<ArgumentNullException>(() => monitor.Watch("a", null!)).ParamName);
        LiveTensors.AssertNoneLeft(() => { monitor.Watch("logits", x); layer.call(x).Dispose(); });
    }
}
