using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>BatchRenorm against the algorithm of the paper (Ioffe 2017) in scalar double precision, and by equivalence with BatchNorm.</summary>
public class BatchRenormTests
{
    private const ScalarType Double = ScalarType.Float64;

    [Theory]
    [InlineData(1, 3.0, 5.0)]
    [InlineData(2, 1.1, 0.2)] // both bounds at work
    [InlineData(3, 1.0, 5.0)]
    [InlineData(4, 3.0, 0.0)]
    public void Training_follows_the_paper(int seed, double rmax, double dmax)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        const int C = 3;
        using var m = stab.nn.BatchRenorm1d(C, 1e-3, 0.2, dtype: Double, rmax: rmax, dmax: dmax);
        NormModuleTests.Randomize(m);
        for (int step = 0; step < 3; step++)
        {
            m.zero_grad();
            var x = (randn([5, C, 4], Double) * 2 + 1).requires_grad_(true);
            var upstream = randn([5, C, 4], Double);
            var expected = new Paper(x, upstream, m);
            var y = m.call(x);
            y.backward([upstream]);
            Compare.Close(expected.Output, y, "output");
            Compare.Close(expected.GradInput, x.grad, "grad_input");
            Compare.Close(expected.GradWeight, m.weight.grad, "grad_weight");
            Compare.Close(expected.GradBias, m.bias!.grad, "grad_bias");
            Compare.Close(expected.RunningMean, m.running_mean, "running_mean");
            Compare.Close(expected.RunningVar, m.running_var, "running_var");
        }
        Assert.Equal(3, m.num_batches_tracked!.item<long>());
    }

    [Fact]
    public void Without_room_for_r_and_d_and_in_eval_mode_it_is_BatchNorm()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        using var renorm = stab.nn.BatchRenorm2d(3, dtype: Double, rmax: 1, dmax: 0);
        using var plain = stab.nn.BatchNorm2d(3, dtype: Double);
        NormModuleTests.Randomize(renorm);
        plain.load_state_dict(renorm.state_dict());
        var x = randn([4, 3, 5, 2], Double);
        foreach (bool train in new[] { true, true, false })
        {
            renorm.train(train);
            plain.train(train);
            Compare.Close(plain.call(x), renorm.call(x), train ? "train" : "eval");
        }
        foreach (var (key, value) in plain.state_dict()) Compare.Close(value, renorm.state_dict()[key], key);
        (renorm.rmax, renorm.dmax) = (3, 5);
        Compare.Close(plain.call(x), renorm.call(x), "eval with bounds");
        using var untracked = stab.nn.BatchRenorm2d(3, affine: false, track_running_stats: false, dtype: Double);
        using var batch = stab.nn.BatchNorm2d(3, affine: false, track_running_stats: false, dtype: Double);
        Compare.Close(batch.call(x), untracked.call(x), "without statistics");
    }

    [Fact]
    public void Masks_half_types_and_missing_weights_go_through_it_too()
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        var x = randn([4, 3, 6], Double);
        var mask = ones([1, 1, 6]);
        mask[0, 0, 5] = 0;
        using var masked = stab.nn.BatchRenorm1d(3, affine: false, dtype: Double);
        using var cut = stab.nn.BatchRenorm1d(3, affine: false, dtype: Double);
        using var half = stab.nn.BatchRenorm1d(3, affine: false);
        var valid = x.narrow(2, 0, 5);
        Compare.Close(cut.call(valid), masked.forward(x, mask).narrow(2, 0, 5), "masked");
        Compare.Close(cut.running_var, masked.running_var, "masked variance");
        cut.reset_running_stats();
        var b = valid.bfloat16();
        Compare.Close(cut.call(b.to(Double)).bfloat16(), half.call(b), "bfloat16 with float32 statistics");
    }

    [Fact]
    public void The_bounds_follow_a_schedule()
    {
        using var scope = NewDisposeScope();
        Assert.Equal((1.0, 0.0), BatchRenorm.PaperSchedule(5000));
        Assert.Equal((3.0, 5.0), BatchRenorm.PaperSchedule(40000));
        Assert.Equal(5.0, BatchRenorm.PaperSchedule(25000).dmax);
        Assert.Equal(2.0, BatchRenorm.PaperSchedule(22500).rmax);
        using var m = stab.nn.BatchRenorm1d(3);
        using var fixedBounds = stab.nn.BatchRenorm1d(3);
        Assert.Equal("BatchRenorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, rmax=3.0, dmax=5.0)", m.ToString());
        List<long> asked = [];
        m.Schedule = step =>
        {
            asked.Add(step);
            return (1 + step, step / 4.0);
        };
        manual_seed(11);
        for (int i = 0; i < 3; i++)
        {
            var x = randn(4, 3) * 9 + 4;
            (fixedBounds.rmax, fixedBounds.dmax) = (1 + i, i / 4.0);
            Compare.Identical(fixedBounds.call(x), m.call(x), $"step {i}");
        }
        Assert.Equal([0, 1, 2], asked);
        m.Schedule = _ => (0.5, 0);
        Assert.Contains("Schedule(3) gave rmax 0.5", Assert.Throws<InvalidOperationException>(() => m.call(randn(4, 3))).Message, StringComparison.Ordinal);
        foreach (double wrong in new[] { 0.5, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => m.rmax = wrong);
        foreach (double wrong in new[] { -0.5, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => m.dmax = wrong);
        Assert.Throws<ArgumentOutOfRangeException>(() => stab.nn.BatchRenorm1d(3, rmax: 0));
    }

    /// <summary>Algorithm 1 and its gradients, number by number; the tracked variance is the unbiased one, as in BatchNorm.</summary>
    private sealed class Paper
    {
        public Paper(Tensor input, Tensor upstream, BatchRenorm module)
        {
            var (rows, grads) = (input.detach().permute(1, 0, 2).reshape(input.shape[1], -1), upstream.permute(1, 0, 2).reshape(input.shape[1], -1));
            int channels = (int)rows.shape[0], n = (int)rows.shape[1];
            var (y, gx) = (zeros_like(rows), zeros_like(rows));
            (GradWeight, GradBias, RunningMean, RunningVar) =
                (zeros(channels, Double), zeros(channels, Double), zeros(channels, Double), zeros(channels, Double));
            for (int c = 0; c < channels; c++)
            {
                double[] x = [.. rows[c].data<double>()], g = [.. grads[c].data<double>()];
                double Of(Tensor t) => t[c].item<double>();
                double mean = x.Average(), variance = x.Average(v => (v - mean) * (v - mean)), sigma = Math.Sqrt(variance + module.eps);
                double running = Math.Sqrt(Of(module.running_var!) + module.eps), w = Of(module.weight);
                double r = Math.Clamp(sigma / running, 1 / module.rmax, module.rmax);
                double d = Math.Clamp((mean - Of(module.running_mean!)) / running, -module.dmax, module.dmax);
                // dL/dx̂ = g·w·r; through σ and the mean as in batch normalization, r and d constant.
                double meanG = g.Average() * w * r, meanGx = g.Zip(x, (a, b) => a * (b - mean)).Average() / sigma * w * r;
                for (int i = 0; i < n; i++)
                {
                    double normalized = (x[i] - mean) / sigma;
                    y[c, i] = (normalized * r + d) * w + Of(module.bias!);
                    gx[c, i] = (g[i] * w * r - meanG - normalized * meanGx) / sigma;
                }
                GradWeight[c] = g.Zip(x, (a, b) => a * ((b - mean) / sigma * r + d)).Sum();
                GradBias[c] = g.Sum();
                double momentum = module.momentum!.Value;
                RunningMean[c] = (1 - momentum) * Of(module.running_mean!) + momentum * mean;
                RunningVar[c] = (1 - momentum) * Of(module.running_var!) + momentum * variance * n / (n - 1);
            }
            Tensor Back(Tensor t) => t.reshape(channels, input.shape[0], input.shape[2]).permute(1, 0, 2);
            (Output, GradInput) = (Back(y), Back(gx));
        }

        public Tensor Output { get; }

        public Tensor GradInput { get; }

        public Tensor GradWeight { get; }

        public Tensor GradBias { get; }

        public Tensor RunningMean { get; }

        public Tensor RunningVar { get; }
    }
}
