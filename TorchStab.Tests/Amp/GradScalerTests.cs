using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Amp;

/// <summary>The loss scaler against PyTorch's rules, and its step against the same step without a scale. A scale of a power of two changes no bit.</summary>
public class GradScalerTests
{
    /// <summary>Builders of an optimizer over the same parameters: TorchStab's clip by 0.5, which must be about unscaled gradients.</summary>
    private static readonly Dictionary<string, Func<IReadOnlyList<Parameter>, optim.Optimizer>> Optimizers = new()
    {
        ["torch SGD"] = p => optim.SGD(p, 0.1, momentum: 0.9),
        ["torch Adam"] = p => optim.Adam(p, 0.1),
        ["Adam"] = p => stab.optim.Adam(p, 0.1, global_clipnorm: 0.5),
        ["AdamW"] = p => stab.optim.AdamW(p, 0.1, clipnorm: 0.5),
        ["SGD"] = p => stab.optim.SGD(p, 0.1, momentum: 0.9, clipvalue: 0.1),
        ["RMSprop"] = p => stab.optim.RMSprop(p, 0.1),
        ["SGD, adaptive"] = p => Ruled(stab.optim.SGD(p, 0.1), GradientClip.Adaptive()),
        ["SGD, ZClip"] = p => Ruled(stab.optim.SGD(p, 0.1), GradientClip.ZScore(warmup: 1)),
        ["clipped torch SGD"] = p => stab.optim.ClippedOptimizer(optim.SGD(p, 0.1), GradientClip.ByGlobalNorm(0.5)),
        ["clipped SGD"] = p => stab.optim.ClippedOptimizer(stab.optim.SGD(p, 0.1), GradientClip.ByGlobalNorm(0.5)),
    };

    public static TheoryData<string> Names => [.. Optimizers.Keys];

    [Theory, MemberData(nameof(Names))]
    public void A_scaled_step_is_the_step_without_a_scale(string name)
    {
        using var scope = NewDisposeScope();
        var (plain, scaled) = (Parameters(), Parameters());
        using var one = Optimizers[name](plain);
        using var other = Optimizers[name](scaled);
        var scaler = stab.amp.GradScaler();
        for (int k = 0; k < 4; k++)
        {
            var targets = plain.Select(p => randn(p.shape)).ToArray();
            Loss(plain, targets).backward();
            one.step();
            scaler.scale(Loss(scaled, targets)).backward();
            scaler.step(other);
            scaler.update();
            for (int i = 0; i < plain.Count; i++) Assert.True(plain[i].equal(scaled[i]).all().item<bool>(), $"{name}, step {k}, parameter {i}");
            if (one is IClippedStep a && other is IClippedStep b) Assert.Equal(a.LastStep with { LossScale = 65536 }, b.LastStep);
            one.zero_grad();
            other.zero_grad();
        }
        Assert.Equal(65536, scaler.get_scale());
    }

    [Theory, MemberData(nameof(Names))]
    public void An_overflow_leaves_everything_as_it_was_and_halves_the_scale(string name)
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var optimizer = Optimizers[name](parameters);
        var scaler = stab.amp.GradScaler(growth_interval: 2);
        Step(1);
        var before = parameters.Select(p => p.clone()).ToArray();
        for (int k = 0; k < 30; k++) Step(float.PositiveInfinity); // more than NonFinitePolicy lets pass
        Assert.Equal(65536 * Math.ScaleB(1, -30), scaler.get_scale());
        for (int i = 0; i < parameters.Count; i++) Assert.True(before[i].equal(parameters[i]).all().item<bool>());
        if (optimizer is IClippedStep own)
        {
            Assert.Equal((31, 0, 30), (own.Counters.Steps, own.Counters.Skipped, own.Counters.Overflowed));
            Assert.True(own.LastStep is { Skipped: true, Overflowed: true, ConsecutiveSkips: 0, FirstNonFinite: not null });
            Assert.Equal(65536 * Math.ScaleB(1, -29), own.LastStep.LossScale);
        }
        Step(1);
        Step(1);
        Assert.Equal(65536 * Math.ScaleB(1, -29), scaler.get_scale());
        Assert.False(before[0].equal(parameters[0]).all().item<bool>());

        void Step(float gradient)
        {
            foreach (var p in parameters) p.grad = full_like(p, gradient);
            scaler.step(optimizer);
            scaler.update();
        }
    }

    /// <summary>Gradients of TorchStab's optimizers are read through the scale; those of others are divided in place.</summary>
    [Theory]
    [InlineData("Adam", 65536 * 3.0)]
    [InlineData("torch Adam", 3.0)]
    public void Only_other_optimizers_gradients_are_rewritten(string name, double after)
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var optimizer = Optimizers[name](parameters);
        foreach (var p in parameters) p.grad = full_like(p, 65536 * 3);
        stab.amp.GradScaler().step(optimizer);
        Assert.Equal(after, parameters[0].grad!.mean().item<float>());
    }

    [Theory]
    [InlineData("Adam")]
    [InlineData("torch Adam")]
    public void Unscaled_gradients_can_be_clipped_by_hand(string name)
    {
        using var scope = NewDisposeScope();
        var (plain, scaled) = (Parameters(), Parameters());
        using var one = Optimizers[name](plain);
        using var other = Optimizers[name](scaled);
        var scaler = stab.amp.GradScaler();
        var targets = plain.Select(p => randn(p.shape)).ToArray();
        Loss(plain, targets).backward();
        double norm = stab.nn.utils.clip_grad_norm_(plain, 0.1);
        one.step();
        scaler.scale(Loss(scaled, targets)).backward();
        scaler.unscale_(other);
        Assert.Equal(norm, stab.nn.utils.clip_grad_norm_(scaled, 0.1));
        scaler.step(other);
        for (int i = 0; i < plain.Count; i++) Assert.True(plain[i].equal(scaled[i]).all().item<bool>());
    }

    [Fact]
    public void Small_float16_gradients_survive()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(0, Moved(1));
        Assert.NotEqual(0, Moved(65536));

        static float Moved(double scale)
        {
            var weight = new Parameter(zeros(4, ScalarType.Float16));
            using var optimizer = stab.optim.SGD([weight], 1000);
            var scaler = stab.amp.GradScaler(scale);
            scaler.scale((weight * 1e-4).to(ScalarType.Float32).sum() * 1e-5).backward(); // 1e-9, below float16's 6e-8
            scaler.step(optimizer);
            return weight.abs().max().to(ScalarType.Float32).item<float>();
        }
    }

    [Fact]
    public void A_window_of_accumulated_passes_is_one_step()
    {
        using var scope = NewDisposeScope();
        var (plain, scaled) = (Parameters(), Parameters());
        using var one = stab.optim.Adam(plain, 0.1, global_clipnorm: 0.5);
        using var other = stab.optim.Adam(scaled, 0.1, global_clipnorm: 0.5);
        one.accumulate(2);
        other.accumulate(2);
        var scaler = stab.amp.GradScaler(growth_interval: 1);
        for (int k = 0; k < 4; k++)
        {
            var targets = plain.Select(p => randn(p.shape)).ToArray();
            Loss(plain, targets).backward();
            one.step();
            one.zero_grad();
            scaler.scale(Loss(scaled, targets)).backward();
            if (k % 2 == 0) Assert.Contains("window", Assert.Throws<InvalidOperationException>(() => scaler.unscale_(other)).Message);
            scaler.step(other);
            scaler.update();
            other.zero_grad();
            Assert.Equal(65536 * Math.Pow(2, (k + 1) / 2), scaler.get_scale());
        }
        for (int i = 0; i < plain.Count; i++) Assert.True(plain[i].equal(scaled[i]).all().item<bool>());
        scaler.scale(Loss(scaled, [.. scaled.Select(p => randn(p.shape))])).backward();
        scaler.step(other);
        scaler.update(2);
        Assert.Contains("loss scale changed", Assert.Throws<InvalidOperationException>(() => scaler.step(other)).Message);
    }

    /// <summary>Random sequences of overflows against PyTorch's rule, written out in float32.</summary>
    [Theory]
    [InlineData(1, 65536, 2, 0.5, 3)]
    [InlineData(2, 1000, 1.7, 0.3, 2)]
    [InlineData(3, 3e38, 2, 0.9, 1)]
    [InlineData(4, 1, 1.001, 0.999, 5)]
    public void The_scale_follows_PyTorchs_rule(int seed, double init, double growth, double backoff, long interval)
    {
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        var weight = new Parameter(ones(3));
        using var optimizer = stab.optim.SGD([weight], 0);
        var scaler = stab.amp.GradScaler(init, growth, backoff, interval);
        float scale = (float)init;
        long tracker = 0;
        for (int k = 0; k < 200; k++)
        {
            bool overflow = random.NextDouble() < 0.3;
            weight.grad = full(3, overflow ? double.NaN : 1.0, ScalarType.Float32);
            scaler.step(optimizer);
            scaler.update();
            if (overflow) (scale, tracker) = ((float)(scale * backoff), 0);
            else if (++tracker == interval) (scale, tracker) = (float.IsFinite((float)(scale * growth)) ? (float)(scale * growth) : scale, 0);
            Assert.Equal(scale, scaler.get_scale());
            Assert.Equal(tracker, scaler.state_dict()["_growth_tracker"]);
        }
    }

    [Theory]
    [InlineData("SGD")]
    [InlineData("torch SGD")]
    public void NaN_at_the_smallest_scale_is_an_error_that_names_the_parameter(string name)
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var optimizer = Optimizers[name](parameters);
        var scaler = stab.amp.GradScaler(1.2e-38);
        foreach (var p in parameters) p.grad = zeros_like(p);
        parameters[1].grad = full_like(parameters[1], double.NaN);
        scaler.step(optimizer);
        scaler.update();
        var error = Assert.Throws<InvalidOperationException>(() => scaler.step(optimizer));
        Assert.Contains("parameter 1 holds NaN", error.Message);
    }

    [Fact]
    public void A_scaler_that_is_not_enabled_does_nothing()
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var optimizer = stab.optim.SGD(parameters, 0.1);
        var scaler = stab.amp.GradScaler(enabled: false);
        var loss = Loss(parameters, [.. parameters.Select(p => randn(p.shape))]);
        Assert.Same(loss, scaler.scale(loss));
        loss.backward();
        scaler.unscale_(optimizer);
        scaler.step(optimizer);
        scaler.update();
        Assert.False(scaler.is_enabled());
        Assert.Equal(1, scaler.get_scale());
        Assert.Equal(1, optimizer.Counters.Steps);
        Assert.Empty(scaler.state_dict());
        scaler.load_state_dict(new Dictionary<string, double>());
    }

    [Fact]
    public void Calls_out_of_order_are_refused_in_PyTorchs_words()
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var optimizer = stab.optim.SGD(parameters, 0.1);
        var scaler = stab.amp.GradScaler();
        Says("No inf checks were recorded prior to update.", () => scaler.update());
        Says("No inf checks were recorded for this optimizer", () => scaler.step(optimizer));
        foreach (var p in parameters) p.grad = zeros_like(p);
        scaler.unscale_(optimizer);
        Says("unscale_() has already been called on this optimizer since the last update().", () => scaler.unscale_(optimizer));
        scaler.step(optimizer);
        Says("unscale_() is being called after step().", () => scaler.unscale_(optimizer));
        Says("step() has already been called since the last update().", () => scaler.step(optimizer));
        scaler.update();
        scaler.step(optimizer);
        Says("The source state dict is empty", () => scaler.load_state_dict(new Dictionary<string, double>()));
        Assert.Equal("optimizer", Assert.Throws<ArgumentException>(() => scaler.step(optim.LBFGS(parameters))).ParamName);
        Assert.Equal("loss", Assert.Throws<ArgumentException>(() => scaler.scale(ones(1, ScalarType.Int64))).ParamName);

        static void Says(string text, Action call) => Assert.StartsWith(text, Assert.Throws<InvalidOperationException>(call).Message);
    }

    [Fact]
    public void Nothing_is_left()
    {
        using var scope = NewDisposeScope();
        var parameters = Parameters();
        using var own = stab.optim.Adam(parameters, 0.1);
        using var other = optim.SGD(parameters, 0.1);
        foreach (var p in parameters) p.grad = zeros_like(p);
        using var loss = ones(1);
        LiveTensors.AssertNoneLeft(() =>
        {
            var scaler = stab.amp.GradScaler();
            scaler.scale(loss).Dispose();
            scaler.step(own);
            scaler.step(other);
            scaler.update();
        });
    }

    private static ClippingAwareOptimizer Ruled(ClippingAwareOptimizer optimizer, GradientClip rule)
    {
        optimizer.Clip = rule;
        return optimizer;
    }

    private static List<Parameter> Parameters()
    {
        manual_seed(5);
        return [new(randn(4, 3)), new(randn(3))];
    }

    private static Tensor Loss(IEnumerable<Parameter> parameters, Tensor[] targets) =>
        parameters.Select((p, i) => (p - targets[i]).square().sum()).Aggregate((a, b) => a + b);
}
