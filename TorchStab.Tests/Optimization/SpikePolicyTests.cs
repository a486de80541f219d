using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>SpikePolicy: when a step is an outlier, what a skipped step leaves alone, and what a file remembers.</summary>
public class SpikePolicyTests
{
    /// <summary>The definition, written out: unbiased deviation of the previous values, half the window full, the new value enters afterwards.</summary>
    [Theory]
    [InlineData(8, 3.0)]
    [InlineData(5, 2.0)]
    [InlineData(2, 6.0)]
    public void Skips_by_the_formula(int window, double sigma)
    {
        var random = new Random(window);
        using var w = new Parameter(zeros(1));
        using var optimizer = stab.optim.SGD([("w", w)], 0.1);
        optimizer.Spikes = SpikePolicy.Skip(sigma, window, maxConsecutive: 1000);
        var previous = new List<double>();
        int spikes = 0;
        for (int step = 0; step < 200; step++)
        {
            double norm = (float)(1 + (0.1 * random.NextDouble()) + (step % 17 == 0 ? 3 : 0));
            bool expected = false;
            if (previous.Count >= Math.Max(2, window / 2))
            {
                double mean = previous.Average(), deviation = Math.Sqrt(previous.Sum(v => (v - mean) * (v - mean)) / (previous.Count - 1));
                expected = norm - mean > sigma * deviation;
            }
            using var before = w.detach().clone();
            Step(optimizer, w, norm);
            Assert.Equal(expected, optimizer.LastStep.Spike);
            Assert.Equal(expected, optimizer.LastStep.Skipped);
            Assert.Equal(expected, before.equal(w).item<bool>());
            Assert.Equal(expected, optimizer.LastStep.SpikeReason is not null);
            if (expected) spikes++;
            previous.Add(norm);
            if (previous.Count > window) previous.RemoveAt(0);
        }
        Assert.Equal(spikes, optimizer.Counters.Spikes);
        Assert.Equal(spikes, optimizer.Counters.Skipped);
        if (window == 8) Assert.True(spikes > 5);
    }

    [Fact]
    public void A_skipped_step_leaves_moments_decay_and_step_count_alone()
    {
        foreach (var make in Make.Optimizers.Values)
        {
            using var scope = NewDisposeScope();
            using var w = new Parameter(ones(4));
            using var twin = new Parameter(ones(4));
            using var optimizer = make([("w", w)]);
            using var plain = make([("w", twin)]);
            optimizer.Spikes = SpikePolicy.Skip(window: 4);
            for (int step = 0; step < 12; step++)
            {
                bool spike = step == 8;
                double gradient = spike ? 1e3 : 1 + (0.1 * (step % 3));
                Step(optimizer, w, gradient);
                Assert.Equal(spike, optimizer.LastStep.Spike);
                if (!spike) Step(plain, twin, gradient);
                Compare.Identical(twin.detach(), w.detach(), $"{optimizer.GetType().Name}, step {step}");
            }
        }
    }

    [Fact]
    public void A_loss_is_looked_at_once_and_a_closure_gives_it()
    {
        using var w = new Parameter(zeros(1));
        using var optimizer = stab.optim.SGD([("w", w)], 0.1);
        optimizer.Spikes = SpikePolicy.Skip(window: 4);
        for (int step = 0; step < 6; step++)
        {
            optimizer.Loss = 2 + (0.01 * step);
            Step(optimizer, w, 1 + (0.01 * step));
            Assert.Null(optimizer.Loss);
        }
        optimizer.Loss = 100;
        Step(optimizer, w, 1);
        Assert.Contains("the loss 100", optimizer.LastStep.SpikeReason);
        Step(optimizer, w, 1.01);
        Assert.False(optimizer.LastStep.Skipped);
        optimizer.Spikes = SpikePolicy.Skip(window: 4);
        foreach (double loss in (double[])[1, 1.1, 1, 50])
        {
            w.grad = ones(1);
            optimizer.step(() => tensor(loss)).Dispose();
        }
        Assert.Contains("the loss 50", optimizer.LastStep.SpikeReason);
    }

    [Fact]
    public void Too_many_in_a_row_are_an_error_and_a_new_level_is_accepted_before()
    {
        using var w = new Parameter(zeros(1));
        using var optimizer = stab.optim.SGD([("w", w)], 0.1);
        optimizer.Spikes = SpikePolicy.Skip(sigma: 0.1, window: 6, maxConsecutive: 2);
        for (int step = 0; step < 6; step++) Step(optimizer, w, 1 - (0.01 * step));
        foreach (double norm in (double[])[10, 100])
        {
            Step(optimizer, w, norm);
            Assert.True(optimizer.LastStep.Spike);
        }
        Assert.Contains("3 steps in a row", Assert.Throws<InvalidOperationException>(() => Step(optimizer, w, 1e3)).Message);
        optimizer.Spikes = SpikePolicy.Skip(window: 128);
        for (int step = 0; step < 128; step++) Step(optimizer, w, 1 + (0.01 * (step % 2)));
        int skipped = 0;
        while (true)
        {
            Step(optimizer, w, 5);
            if (!optimizer.LastStep.Skipped) break;
            skipped++;
        }
        Assert.InRange(skipped, 1, 6); // the values enter the window although their steps are skipped
    }

    [Fact]
    public void What_was_seen_is_saved_and_files_without_it_load()
    {
        using var w = new Parameter(zeros(1));
        foreach (bool wrapped in (bool[])[false, true])
        {
            byte[] plain = Saved(Make(false)), file = Saved(Trained());
            using var loaded = Make(true);
            Load(loaded, file);
            Step(loaded, w, 1e3);
            Assert.True(Spiked(loaded));
            using var old = Make(true);
            Load(old, plain);
            Step(old, w, 1e3);
            Assert.False(Spiked(old));
            using var cut = Make(true);
            Assert.Throws<EndOfStreamException>(() => Load(cut, file[..^4]));

            optim.Optimizer Make(bool on)
            {
                var policy = on ? SpikePolicy.Skip(window: 4) : SpikePolicy.Off;
                if (wrapped)
                {
                    var clipped = stab.optim.ClippedOptimizer(optim.Adam([w], 0.1), GradientClip.ByGlobalNorm(1e9));
                    clipped.Spikes = policy;
                    return clipped;
                }
                var adam = stab.optim.Adam([("w", w)], 0.1);
                adam.Spikes = policy;
                return adam;
            }

            optim.Optimizer Trained()
            {
                var optimizer = Make(true);
                for (int step = 0; step < 5; step++) Step(optimizer, w, 1 + (0.01 * step));
                return optimizer;
            }
        }
    }

    [Fact]
    public void Wrong_numbers_are_refused()
    {
        foreach (double sigma in (double[])[0, -1, double.NaN, double.PositiveInfinity])
            Assert.Equal("sigma", Assert.Throws<ArgumentException>(() => SpikePolicy.Skip(sigma)).ParamName);
        Assert.Equal("window", Assert.Throws<ArgumentException>(() => SpikePolicy.Skip(window: 1)).ParamName);
        Assert.Equal("maxConsecutive", Assert.Throws<ArgumentException>(() => SpikePolicy.Skip(maxConsecutive: 0)).ParamName);
        using var w = new Parameter(zeros(1));
        using var optimizer = stab.optim.SGD([("w", w)], 0.1);
        Assert.Same(SpikePolicy.Off, optimizer.Spikes);
        Assert.Throws<ArgumentNullException>(() => optimizer.Spikes = null!);
    }

    private static bool Spiked(optim.Optimizer optimizer) => ((IClippedStep)optimizer).LastStep.Spike;

    private static byte[] Saved(optim.Optimizer optimizer)
    {
        using (optimizer) return OptimizerFile.Save(optimizer);
    }

    private static void Load(optim.Optimizer optimizer, byte[] file)
    {
        var reader = new BinaryReader(new MemoryStream(file));
        if (optimizer is ClippedOptimizer clipped) clipped.load_state_dict(reader);
        else ((ClippingAwareOptimizer)optimizer).load_state_dict(reader);
    }

    [Fact]
    public void Outliers_do_not_count_as_steps_that_are_not_finite()
    {
        using var w = new Parameter(ones(4));
        using var optimizer = stab.optim.SGD([("w", w)], 0.1, nonFinite: NonFinitePolicy.Skip(maxConsecutive: 1));
        optimizer.Spikes = SpikePolicy.Skip(window: 4);
        for (int step = 0; step < 4; step++) Step(optimizer, w, 1 + (0.01 * step));
        Step(optimizer, w, 100);
        Assert.True(optimizer.LastStep.Spike);
        Step(optimizer, w, double.NaN);
        Assert.Equal(2, optimizer.LastStep.ConsecutiveSkips);
        Assert.Throws<InvalidOperationException>(() => Step(optimizer, w, double.NaN));
    }

    [Fact]
    public void A_closures_loss_is_checked()
    {
        using var scope = NewDisposeScope();
        using var w = new Parameter(ones(4));
        using var inner = optim.SGD([w], 0.1);
        using var optimizer = stab.optim.ClippedOptimizer(inner, GradientClip.ByGlobalNorm(1));
        optimizer.Spikes = SpikePolicy.Skip(window: 4);
        for (int step = 0; step < 5; step++)
        {
            optimizer.step(() =>
            {
                w.grad = ones(4);
                return tensor(step < 4 ? 1 + (0.01f * step) : 50f);
            });
            Assert.Equal(step == 4, optimizer.LastStep.Spike);
        }
    }

    private static void Step(optim.Optimizer optimizer, Parameter parameter, double gradient)
    {
        parameter.grad = full_like(parameter, gradient);
        optimizer.step();
    }
}
