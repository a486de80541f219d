using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>The numbers a monitor records, how often, and what it leaves behind.</summary>
public class GradientMonitorTests
{
    private static readonly MonitorOptions EveryCall = new() { Every = 1 };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Records_hold_each_layers_numbers_in_the_order_of_the_tree(bool kernels)
    {
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        using var net = Made();
        using var monitor = new GradientMonitor(net, EveryCall);
        var report = monitor.Observe()!;
        Assert.Equal(["first", "last"], report.Layers.Select(l => l.Layer));
        Assert.Equal(["Linear", "Linear"], report.Layers.Select(l => l.Kind));
        var first = report.Layers[0];
        Assert.Equal(13, first.Norm, Tolerance.Float64); // 3, 4 and 12, all else zero
        Assert.Equal(12, first.Max);
        Assert.Equal(1 - 3 / 40.0, first.ZeroShare, Tolerance.Float64);
        Assert.Equal(0, first.NonFiniteShare);
        Assert.Equal(Math.Sqrt(40 * 4), first.WeightNorm, Tolerance.Float64);
        Assert.Equal(13 / Math.Sqrt(160), first.Ratio, Tolerance.Float64);
        Assert.Null(first.UpdateRatio);
        Assert.Equal(Math.Sqrt((13 * 13) + 27), report.Total, Tolerance.Float64);
    }

    [Fact]
    public void Shares_count_what_is_missing_as_zero_and_what_is_bad_as_bad()
    {
        using var net = Made();
        using (var scope = NewDisposeScope())
        {
            var first = net.get_parameter("first.weight")!;
            first.grad![0, 0] = double.NaN;
            first.grad![0, 1] = double.NegativeInfinity;
            net.get_parameter("last.bias")!.grad = null;
        }
        using var monitor = new GradientMonitor(net, EveryCall);
        var layers = monitor.Observe()!.Layers;
        Assert.Equal(2 / 40.0, layers[0].NonFiniteShare, Tolerance.Float64);
        Assert.True(double.IsNaN(layers[0].Norm));
        Assert.Equal(["bias"], layers[1].NotConnected);
        Assert.Equal(3 / 27.0, layers[1].ZeroShare, Tolerance.Float64);
    }

    [Fact]
    public void Huge_gradients_are_finite()
    {
        using var net = Made();
        using (var scope = NewDisposeScope()) net.get_parameter("first.weight")!.grad!.fill_(1e200);
        using var monitor = new GradientMonitor(net, EveryCall);
        Assert.Equal(0, monitor.Observe()!.Layers[0].NonFiniteShare);
    }

    [Fact]
    public void The_update_is_that_of_the_step_over_the_weights_before_it()
    {
        using var net = Made();
        using var monitor = new GradientMonitor(net, EveryCall);
        using var optimizer = optim.SGD(net.parameters(), 0.1);
        var first = monitor.Step(optimizer)!.Layers[0];
        Assert.Equal(0.1 * 13 / Math.Sqrt(160), first.UpdateRatio!.Value, Tolerance.Float64);
        Assert.Equal(Math.Sqrt(160), first.WeightNorm, Tolerance.Float64);
    }

    [Fact]
    public void Every_nth_call_is_recorded_and_every_call_steps()
    {
        using var net = Made();
        using var monitor = new GradientMonitor(net, new() { Every = 3, Capacity = 2 });
        int steps = 0;
        bool[] recorded = [.. Enumerable.Range(0, 10).Select(_ => monitor.Step(() => steps++) is not null)];
        Assert.Equal([true, false, false, true, false, false, true, false, false, true], recorded);
        Assert.Equal(10, steps);
        Assert.Equal([7L, 10L], monitor.History.Select(r => r.Step)); // two are kept
        Assert.Same(monitor.History.Last(), monitor.Last);
    }

    [Fact]
    public void Worst_are_those_furthest_from_the_others()
    {
        double[] norms = [1, 2, 1e-6, 3, 1e4, 1.5];
        GradientRecord[] layers = [.. norms.Select((n, i) => Record($"{i}", n)), Record("nan", double.NaN)];
        var report = new GradientReport { Step = 1, Total = 0, Layers = layers };
        Assert.Equal(["nan", "2", "4"], report.Worst(3).Select(l => l.Layer));
    }

    [Fact]
    public void Frozen_parameters_are_left_out_and_shared_ones_counted_once()
    {
        var linear = nn.Linear(4, 4);
        using var net = nn.Sequential(("a", linear), ("b", linear), ("frozen", nn.Linear(4, 4)));
        foreach (var p in ((nn.Module)net[2]).parameters()) p.requires_grad = false;
        using var monitor = new GradientMonitor(net);
        Assert.Equal(["a"], monitor.Observe()!.Layers.Select(l => l.Layer));
    }

    [Fact]
    public void No_tensor_is_left_and_nothing_of_the_model_changes()
    {
        using var net = DiagnosticNets.Healthy();
        DiagnosticNets.Backward(net, 0);
        using var optimizer = optim.SGD(net.parameters(), 0);
        var before = net.state_dict().ToDictionary(p => p.Key, p => p.Value.clone());
        using var monitor = new GradientMonitor(net, EveryCall);
        LiveTensors.AssertNoneLeft(() => monitor.Observe());
        LiveTensors.AssertNoneLeft(() => monitor.Step(optimizer));
        LiveTensors.AssertNoneLeft(() => monitor.Judge());
        using (var scope = NewDisposeScope())
        {
            monitor.Step(optimizer);
            Assert.Equal(0, scope.DisposablesCount);
        }
        foreach (var (name, value) in before) Assert.True(net.state_dict()[name].equal(value).all().item<bool>(), name);
    }

    [Fact]
    public void A_step_that_throws_leaves_no_snapshot()
    {
        using var net = Made();
        using var monitor = new GradientMonitor(net, EveryCall);
        LiveTensors.AssertNoneLeft(() => Assert.Throws<TimeoutException>(() => monitor.Step(() => throw new TimeoutException())));
    }

    [Fact]
    public void Misuse_is_named()
    {
        using var net = Made();
        Assert.Equal("model", Assert.Throws<ArgumentNullException>(() => new GradientMonitor(null!)).ParamName);
        Assert.Equal("Every", Assert.Throws<ArgumentException>(() => new MonitorOptions { Every = 0 }).ParamName);
        Assert.Equal("Capacity", Assert.Throws<ArgumentException>(() => new MonitorOptions { Capacity = 0 }).ParamName);
        Assert.Equal("Samples", Assert.Throws<ArgumentException>(() => new VerdictThresholds { Samples = 0 }).ParamName);
        var monitor = new GradientMonitor(net);
        Assert.Equal(VerdictKind.NotSeen, monitor.Judge().Model.Kind); // nothing was recorded
        Assert.Contains("call Step", monitor.Judge().ToString(), StringComparison.Ordinal);
        monitor.Dispose();
        monitor.Dispose();
        Assert.Throws<ObjectDisposedException>(() => monitor.Observe());
    }

    private static GradientRecord Record(string layer, double norm) => new()
    {
        Layer = layer,
        Kind = "",
        Elements = 1,
        Norm = norm,
        Max = norm,
        ZeroShare = 0,
        NonFiniteShare = 0,
        WeightNorm = 1,
        NotConnected = [],
    };

    /// <summary>Two linear layers of twos, with gradients 3, 4, 12 and zeros in the first and ones in the last.</summary>
    private static Sequential Made()
    {
        var net = nn.Sequential(("first", nn.Linear(4, 8, dtype: ScalarType.Float64)), ("last", nn.Linear(8, 3, dtype: ScalarType.Float64)));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var p in net.parameters())
        {
            p.fill_(2);
            p.grad = p.size(0) == 3 ? ones_like(p) : zeros_like(p);
        }
        net.get_parameter("first.weight")!.grad![0, 0] = 3;
        net.get_parameter("first.weight")!.grad![7, 3] = 4;
        net.get_parameter("first.bias")!.grad![5] = 12;
        return net;
    }
}
