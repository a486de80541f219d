using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>The numbers that hooks see, when they look, and that nothing of them stays.</summary>
public class ActivationMonitorTests
{
    private static readonly MonitorOptions EveryCall = new() { Every = 1 };

    [Fact]
    public void Records_hold_the_numbers_of_each_output_in_the_order_of_calls()
    {
        using var scope = NewDisposeScope();
        using var net = nn.Sequential(("linear", nn.Linear(2, 4)), ("relu", nn.ReLU()), ("flat", nn.Flatten()), ("tanh", nn.Tanh()), ("sigmoid", nn.Sigmoid()));
        using (no_grad())
        {
            net.get_parameter("linear.weight")!.copy_(tensor(new float[,] { { 1, 0 }, { -1, 0 }, { 0, 3 }, { -1, -1 } }));
            net.get_parameter("linear.bias")!.fill_(0);
        }
        using var monitor = new ActivationMonitor(net, EveryCall);
        net.call(tensor(new float[,] { { 1, 1 }, { 3, 2 } })); // → 1 −1 3 −2, 3 −3 6 −5
        var report = monitor.Last!;
        Assert.Equal(["linear", "relu", "tanh", "sigmoid"], report.Layers.Select(l => l.Layer));
        var (linear, relu) = (report.Layers[0], report.Layers[1]);
        Assert.Equal(0.25, linear.Mean, Tolerance.Float32);
        Assert.Equal(Math.Sqrt((94 / 8.0) - (0.25 * 0.25)), linear.Std, Tolerance.Float32);
        Assert.Null(linear.DeadShare);
        Assert.Equal(0.5, relu.DeadShare);
        Assert.Equal(2, relu.Rows);
        Assert.Equal(3 / 8.0, report.Layers[2].SaturatedShare); // tanh of 3, 3 and 6; of 1 it is 0.76
        Assert.Equal(0, report.Layers[3].SaturatedShare);
        Assert.All(report.Layers, l => Assert.Equal(0, l.NonFiniteShare));
    }

    [Fact]
    public void A_unit_is_a_channel_after_a_convolution_and_a_feature_after_a_linear_layer()
    {
        using var scope = NewDisposeScope();
        using var conv = nn.Sequential(("conv", nn.Conv1d(1, 4, 1)), ("relu", nn.ReLU()));
        using var linear = nn.Sequential(("linear", nn.Linear(1, 4)), ("relu", nn.ReLU()));
        foreach (var (net, name) in new[] { (conv, "conv"), (linear, "linear") })
        {
            using var monitor = new ActivationMonitor(net, EveryCall);
            using (no_grad())
            {
                net.get_parameter($"{name}.weight")!.fill_(0);
                net.get_parameter($"{name}.bias")!.copy_(tensor(new float[] { 1, -1, 0, 2 }));
            }
            net.call(name == "conv" ? ones(3, 1, 5) : ones(3, 5, 1));
            Assert.Equal((0.5, 15L), (monitor.Last!.Layers[1].DeadShare!.Value, monitor.Last.Layers[1].Rows));
        }
    }

    [Fact]
    public void Non_finite_values_are_counted_and_huge_ones_are_not()
    {
        using var scope = NewDisposeScope();
        using var net = nn.Sequential(("prelu", nn.PReLU(1)));
        using var monitor = new ActivationMonitor(net, EveryCall);
        net.call(tensor(new[] { 1, float.NaN, float.PositiveInfinity, 1 }));
        Assert.Equal(0.5, monitor.Last!.Layers[0].NonFiniteShare);
        net.call(full(4, 3e38f));
        Assert.Equal(0, monitor.Last!.Layers[0].NonFiniteShare);
    }

    [Fact]
    public void Every_nth_call_of_the_model_is_recorded_whether_by_call_or_by_forward()
    {
        using var scope = NewDisposeScope();
        foreach (bool byCall in new[] { true, false })
        {
            using var net = nn.Sequential(("linear", nn.Linear(2, 2)), ("relu", nn.ReLU()));
            using var monitor = new ActivationMonitor(net, new() { Every = 3, Capacity = 2 });
            for (int i = 0; i < 10; i++) _ = byCall ? net.call(ones(1, 2)) : net.forward(ones(1, 2));
            Assert.Equal([7L, 10L], monitor.History.Select(r => r.Call));
            Assert.All(monitor.History, r => Assert.Equal(2, r.Layers.Count));
            monitor.Enabled = false;
            for (int i = 0; i < 5; i++) net.call(ones(1, 2));
            Assert.Equal(10, monitor.Last!.Call);
        }
    }

    [Fact]
    public void Layers_of_other_signatures_are_seen_and_what_is_not_called_is_named()
    {
        using var scope = NewDisposeScope();
        using var net = new Recurrent();
        using var monitor = new ActivationMonitor(net, EveryCall);
        net.call(randn(2, 5, 3));
        Assert.Equal(["lstm"], monitor.Last!.Layers.Select(l => l.Layer));
        Assert.Equal(["hidden"], monitor.Unseen);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void Other_dtypes_are_seen(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var net = nn.Sequential(("relu", nn.ReLU()));
        using var monitor = new ActivationMonitor(net, EveryCall);
        net.call(full(2, 3, 2, dtype));
        Assert.Equal((2, 0), (monitor.Last!.Layers[0].Mean, monitor.Last.Layers[0].Std));
        net.call(ones(2, 3, ScalarType.Int64));
        Assert.Empty(monitor.Last!.Layers);
        net.call(empty(0, 3, dtype));
        Assert.Empty(monitor.Last!.Layers);
    }

    [Fact]
    public void Outputs_are_the_same_with_and_without_and_no_tensor_is_left()
    {
        using var net = DiagnosticNets.Healthy();
        net.eval();
        using var x = randn(8, DiagnosticNets.Inputs);
        using var plain = net.call(x);
        using (var monitor = new ActivationMonitor(net, EveryCall))
        {
            using var watched = net.call(x);
            Assert.True(watched.equal(plain).all().item<bool>());
            LiveTensors.AssertNoneLeft(() => net.call(x).Dispose());
            LiveTensors.AssertNoneLeft(() => monitor.Judge());
        }
    }

    [Fact]
    public void Dispose_takes_every_hook_off()
    {
        using var net = DiagnosticNets.Healthy();
        var modules = net.named_modules().Select(m => m.module).Append(net).ToList();
        var monitor = new ActivationMonitor(net, EveryCall);
        Assert.All(modules, m => Assert.NotEqual(0, Hooks(m)));
        monitor.Dispose();
        monitor.Dispose();
        Assert.All(modules, m => Assert.Equal(0, Hooks(m)));
        using var scope = NewDisposeScope();
        net.call(randn(8, DiagnosticNets.Inputs));
        Assert.Null(monitor.Last);
    }

    [Fact]
    public void A_null_model_is_refused() => Assert.Equal("model", Assert.Throws<ArgumentNullException>(() => new ActivationMonitor(null!)).ParamName);

    private static int Hooks(nn.Module module)
    {
        const System.Reflection.BindingFlags hidden = System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance;
        string[] fields = ["pre_hooks", "post_hooks", "module_pre_hooks", "module_post_hooks"];
        var type = module.GetType();
        while (type!.Name != "HookableModule`2") type = type.BaseType;
        return fields.Sum(f => ((System.Collections.IDictionary)type.GetField(f, hidden)!.GetValue(module)!).Count);
    }

    private sealed class Recurrent : nn.Module<Tensor, Tensor>
    {
        private readonly LSTM lstm = nn.LSTM(3, 4);
        private readonly Linear hidden = nn.Linear(4, 4);

        public Recurrent() : base(nameof(Recurrent)) => RegisterComponents();

        public override Tensor forward(Tensor input) => hidden.forward(lstm.call(input, null).Item1);
    }
}
