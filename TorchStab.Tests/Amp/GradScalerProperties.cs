using FsCheck;
using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Amp;

/// <summary>Any sequence of finite and overflowing gradients, against PyTorch's rule and SGD's step, both written out in float32.</summary>
public class GradScalerProperties
{
    private static readonly (double Growth, double Backoff, long Interval)[] Rules = [(2, 0.5, 3), (1.7, 0.3, 2), (1.001, 0.999, 1), (4, 0.25, 5)];

    [SeededProperty(MaxTest = 60)]
    public void Scale_counter_and_weights_follow_the_rule(NonEmptyArray<byte> sequence, byte rule, bool ours)
    {
        using var scope = NewDisposeScope();
        var (growth, backoff, interval) = Rules[rule % Rules.Length];
        var weight = new Parameter(ones(3));
        using optim.Optimizer optimizer = ours ? stab.optim.SGD([weight], 0.125) : optim.SGD([weight], 0.125);
        var scaler = stab.amp.GradScaler(65536, growth, backoff, interval);
        float scale = 65536, expected = 1;
        long tracker = 0;
        foreach (byte step in sequence.Get)
        {
            bool overflows = step % 3 == 0;
            optimizer.zero_grad();
            scaler.scale((weight * (overflows ? double.PositiveInfinity : step - 128.0)).sum()).backward();
            if (step % 2 == 0) scaler.unscale_(optimizer);
            scaler.step(optimizer);
            scaler.update();
            if (!overflows) expected -= 0.125f * (step - 128);
            if (overflows) (scale, tracker) = ((float)(scale * backoff), 0);
            else if (++tracker == interval) (scale, tracker) = (float.IsFinite((float)(scale * growth)) ? (float)(scale * growth) : scale, 0);
            Assert.Equal(scale, scaler.get_scale());
            Assert.Equal(tracker, scaler.state_dict()["_growth_tracker"]);
            // g·s/s may be off by an ulp where s is no power of two.
            Assert.Equal(expected, weight[0].ToDouble(), 1e-4 * Math.Max(1, Math.Abs(expected)));
        }
    }
}
