using TorchStab.Dispatch;
using TorchStab.Initialization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>
/// On another device than the CPU reading a number waits until it is computed: reports read all their numbers together. With kernels off a tensor on the CPU
/// goes the way of a tensor on another device.
/// </summary>
public class DeviceWaitTests
{
    private static readonly string[] Reporting =
        ["Diagnostics/ActivationMeasurement.cs", "Diagnostics/ActivationMonitor.cs", "Diagnostics/GradientMeasurement.cs", "Diagnostics/GradientMonitor.cs",
            "Diagnostics/WatchedGradient.cs", "Diagnostics/WeightSnapshot.cs", "Initialization/ModelInitializer.cs", "Initialization/Sparse.cs"];

    [Fact]
    public void Numbers_arrive_in_their_order_whatever_their_dtypes_and_nothing_is_kept()
    {
        List<double> read = [];
        LiveTensors.AssertNoneLeft(() =>
        {
            read.Clear();
            using var numbers = new DeviceNumbers();
            using (NewDisposeScope())
            {
                numbers.Add(tensor(1.5f), read.Add);
                numbers.Add(tensor(1e300), read.Add);
                numbers.Add(tensor(3L), read.Add);
                numbers.Add(tensor(0.25f).to(ScalarType.BFloat16), read.Add);
            }
            numbers.Read();
            numbers.Read();
            numbers.Add(tensor(7f), read.Add); // not read: dropped
        });
        Assert.Equal([1.5, 1e300, 3, 0.25], read);
    }

    [Fact]
    public void What_reports_reads_numbers_in_no_other_way()
    {
        var files = Reporting.Select(name => SourceFile.In("TorchStab").Single(f => f.Path.Replace('\\', '/').EndsWith(name, StringComparison.Ordinal)));
        SourceFile.AssertNone(files.SelectMany(f => f.Find(@"\.item<|\.data<|\.cpu\(\)|\bTo(Single|Double|Int64|Boolean)\(\)|\.to\(CPU\)")));
    }

    /// <summary>Float32 squares overflow from 1.8e19 on and are zero below 1e-23; the tensor-op form divides by the largest first.</summary>
    [Theory]
    [InlineData(1e25)]
    [InlineData(1)]
    [InlineData(1e-30)]
    public void A_gradient_of_any_magnitude_has_its_norm_in_both_forms(double size)
    {
        using var scope = NewDisposeScope();
        var layer = nn.Linear(5, 3);
        var gradients = layer.parameters().Select(p => randn_like(p) * size).ToList();
        var (tensorOps, kernels) = (Report(false), Report(true));
        foreach (var (a, b) in tensorOps.Layers.Zip(kernels.Layers))
        {
            Assert.Equal(1, a.Norm / b.Norm, 1e-5);
            Assert.Equal(b.Max, a.Max);
            Assert.Equal(b.UpdateRatio!.Value, a.UpdateRatio!.Value, 1e-5 * b.UpdateRatio.Value);
        }
        double expected = Math.Sqrt(gradients.Sum(g => g.to(ScalarType.Float64).square().sum().item<double>()));
        Assert.Equal(1, tensorOps.Total / expected, 1e-5);

        GradientReport Report(bool kernel)
        {
            using var form = kernel ? KernelForm.Kernel() : KernelForm.TensorOps();
            using var _ = no_grad();
            foreach (var (p, g) in layer.parameters().Zip(gradients)) p.grad = g.clone();
            using var monitor = new GradientMonitor(layer);
            return monitor.Step(() =>
            {
                foreach (var p in layer.parameters())
                {
                    p.mul_(1.5);
                    p.grad!.zero_(); // what was measured before the step is reported
                    p.div_(1.5);
                    p.mul_(1.25);
                }
            })!;
        }
    }

    [Fact]
    public void Values_that_are_not_finite_are_counted_in_both_forms()
    {
        foreach (bool kernel in new[] { false, true })
        {
            using var form = kernel ? KernelForm.Kernel() : KernelForm.TensorOps();
            using var scope = NewDisposeScope();
            var layer = nn.Linear(4, 2, hasBias: false);
            layer.weight!.grad = tensor(new[] { 1, float.NaN, 3, 4, float.PositiveInfinity, 6, 7, float.NegativeInfinity }).reshape(2, 4);
            using var monitor = new GradientMonitor(layer);
            var record = Assert.Single(monitor.Observe()!.Layers);
            Assert.Equal(3.0 / 8, record.NonFiniteShare);
            using var activations = new ActivationMonitor(layer);
            activations.Watch("logits", layer.weight.grad!);
            Assert.Equal(3.0 / 8, Assert.Single(activations.Last!.Layers).NonFiniteShare);
        }
    }

    [Fact]
    public void A_pass_leaves_no_tensor_and_its_report_is_the_same_in_both_forms()
    {
        using var model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.Tanh());
        using var x = randn(16, 6);
        var reports = new List<ActivationReport>();
        foreach (bool kernel in new[] { false, true })
        {
            using var form = kernel ? KernelForm.Kernel() : KernelForm.TensorOps();
            using var monitor = new ActivationMonitor(model, new() { Every = 1 });
            LiveTensors.AssertNoneLeft(() => model.call(x).Dispose());
            reports.Add(monitor.Last!);
        }
        Assert.Equal(6, reports[0].Layers.Count);
        foreach (var (a, b) in reports[0].Layers.Zip(reports[1].Layers))
        {
            Assert.Equal((b.Layer, b.DeadShare, b.SaturatedShare, b.Rows), (a.Layer, a.DeadShare, a.SaturatedShare, a.Rows));
            Assert.Equal(b.Mean, a.Mean, 1e-6);
            Assert.Equal(b.Std, a.Std, 1e-6);
        }
    }

    [Fact]
    public void A_model_run_by_forward_is_reported_when_the_report_is_asked_for()
    {
        using var form = KernelForm.TensorOps();
        using var scope = NewDisposeScope();
        var layer = nn.Linear(3, 3);
        var model = new ByForward(layer);
        using var monitor = new ActivationMonitor(model, new() { Every = 1 });
        var y = model.forward(randn(5, 3));
        double mean = y.mean().item<float>();
        y.zero_(); // the numbers are of the values as they were
        Assert.Equal(mean, Assert.Single(monitor.Last!.Layers).Mean, 1e-6);
        Assert.Single(monitor.History);
    }

    [Fact]
    public void A_watched_gradient_is_that_of_the_pass()
    {
        foreach (bool kernel in new[] { false, true })
        {
            using var form = kernel ? KernelForm.Kernel() : KernelForm.TensorOps();
            using var scope = NewDisposeScope();
            var layer = nn.Linear(3, 3);
            using var monitor = new GradientMonitor(layer);
            var (x, g) = (randn(4, 3, requires_grad: true), randn(4, 3) * 1e-25);
            stab.nn.functional.watch_gradient(x, "x", monitor).backward([g]);
            double norm = g.to(ScalarType.Float64).norm().item<double>(), largest = g.abs().max().item<float>();
            g.zero_();
            var seen = Assert.Single(monitor.Observe()!.Watched);
            Assert.Equal(1, seen.Norm / norm, 1e-5);
            Assert.Equal(largest, seen.Max);
        }
    }

    /// <summary>The columns of a tensor on another device whose generator is given: each has as many zeros, and no two orders are alike.</summary>
    [Fact]
    public void Sparse_columns_drawn_together_have_equally_many_zeros()
    {
        using var scope = NewDisposeScope();
        var zeros = Sparse.Together(50, 200, 13, CPU, new Generator(3));
        Assert.Equal([200L, 50L], zeros.shape);
        Assert.True(zeros.sum(1).eq(13).all().item<bool>());
        double share = zeros.to(ScalarType.Float64).mean([0]).std().item<double>();
        Assert.InRange(share, 0.5 * Math.Sqrt(0.26 * 0.74 / 200), 2 * Math.Sqrt(0.26 * 0.74 / 200)); // of 50 independent shares of 200 columns
    }

    [Theory]
    [InlineData(1e22, false)]
    [InlineData(1e22, true)]
    [InlineData(1e-24, false)]
    [InlineData(1e-24, true)]
    public void Lsuv_sees_the_variance_of_outputs_whose_squares_leave_float32(double size, bool kernel)
    {
        using var form = kernel ? KernelForm.Kernel() : KernelForm.TensorOps();
        using var scope = NewDisposeScope();
        var model = nn.Sequential(nn.Linear(16, 16));
        var report = stab.nn.init.lsuv_(model, randn(64, 16) * size);
        var entry = Assert.Single(report.Entries);
        Assert.True(entry.Converged, report.ToString());
        Assert.Equal(1, entry.VarianceAfter, 0.1);
        Assert.InRange(Math.Log10(entry.VarianceBefore) / Math.Log10(size * size), 0.9, 1.1);
        Assert.DoesNotContain("NaN", report.ToString(), StringComparison.Ordinal);
    }

    private sealed class ByForward : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _layer;

        public ByForward(nn.Module<Tensor, Tensor> layer) : base("ByForward")
        {
            _layer = layer;
            RegisterComponents();
        }

        public override Tensor forward(Tensor x) => _layer.call(x);
    }
}
