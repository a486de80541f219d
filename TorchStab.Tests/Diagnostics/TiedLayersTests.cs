using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>A weight that two layers share belongs to the first of them.</summary>
public class TiedLayersTests
{
    [Fact]
    public void The_monitor_counts_its_gradient_once()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        model.Head.weight.grad = full([5, 3], 2f);
        using var monitor = new GradientMonitor(model);
        var report = monitor.Observe()!;
        Assert.Equal("table", Assert.Single(report.Layers).Layer);
        Assert.Equal(2 * Math.Sqrt(15), report.Total, 5);
    }
}
