using TorchSharp;
using TorchStab.Dispatch;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using Swa = TorchStab.stab.optim.swa_utils;

namespace TorchStab.Tests.Averaging;

/// <summary>AveragedModel against torch.lerp and the mean, in both forms; PyTorch's keys; weights exchanged and back.</summary>
public class AveragedModelTests
{
    public static TheoryData<ScalarType, bool, string> Forms()
    {
        var forms = new TheoryData<ScalarType, bool, string>();
        foreach (var dtype in (ScalarType[])[ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16])
            foreach (bool kernels in (bool[])[true, false])
                foreach (string rule in (string[])["ema", "ramp", "swa"]) forms.Add(dtype, kernels, rule);
        return forms;
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Follows_its_rule(ScalarType dtype, bool kernels, string rule)
    {
        using var scope = NewDisposeScope();
        var mode = KernelSelection.Mode;
        KernelSelection.Mode = kernels ? KernelMode.Auto : KernelMode.Off;
        try
        {
            manual_seed(1);
            using var model = nn.Sequential(("a", nn.Linear(300, 200, dtype: dtype)), ("b", nn.Linear(7, 3, dtype: dtype)));
            using var average = Swa.AveragedModel(model,
                rule switch { "ema" => Swa.get_ema_multi_avg_fn(0.9), "ramp" => Swa.get_ema_multi_avg_fn(0.9, 3), _ => null });
            var wide = dtype == ScalarType.BFloat16 ? ScalarType.Float32 : dtype;
            Dictionary<string, Tensor> expected = [];
            for (int n = 0; n < 6; n++)
            {
                double weight = rule switch { "ema" => 0.1, "ramp" => 1 - 0.9 * (1 - Math.Exp(-(n + 1) / 3.0)), _ => 1.0 / (n + 1) };
                foreach (var (name, p) in model.named_parameters())
                {
                    using (no_grad()) p.copy_(randn_like(p));
                    var now = p.detach().to(wide, copy: true);
                    expected[name] = n == 0 ? now : expected[name].lerp(now, tensor(weight, wide));
                }
                average.update_parameters(model);
                foreach (var (name, value) in expected) Compare.Close(value, average.state_dict()[$"module.{name}"], $"{name} after {n + 1}");
            }
            Assert.Equal(6, average.n_averaged);
        }
        finally
        {
            KernelSelection.Mode = mode;
        }
    }

    [Fact]
    public void The_first_update_copies_and_a_mean_is_the_mean()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(4, 3, dtype: ScalarType.Float64);
        using var average = Swa.AveragedModel(model, Swa.get_swa_multi_avg_fn());
        var all = new List<Tensor>();
        for (int i = 0; i < 5; i++)
        {
            using (no_grad()) model.weight.copy_(randn_like(model.weight));
            all.Add(model.weight.detach().clone());
            average.update_parameters(model);
            if (i == 0) Compare.Identical(all[0], average.state_dict()["module.weight"], "copy");
        }
        Compare.Close(stack(all).mean([0]), average.state_dict()["module.weight"], "mean");
    }

    [Fact]
    public void Half_types_are_averaged_in_float32()
    {
        using var scope = NewDisposeScope();
        foreach (var dtype in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            using var model = nn.Linear(40, 30, dtype: dtype);
            using (no_grad()) model.weight.fill_(1);
            using var average = Swa.AveragedModel(model, Swa.get_ema_multi_avg_fn(0.999));
            average.update_parameters(model);
            using (no_grad()) model.weight.fill_(1.125);
            for (int i = 0; i < 100; i++) average.update_parameters(model);
            // In a half type every one of these steps would be rounded away.
            Assert.Equal(1 + (0.125 * (1 - Math.Pow(0.999, 100))), average.state_dict()["module.weight"].mean().item<float>(), 1e-5);
            average.CopyTo(model);
            Assert.Equal(dtype, model.weight.dtype);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Buffers_are_copied_or_averaged_and_counts_always_copied(bool use_buffers)
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("norm", stab.nn.BatchNorm1d(3, dtype: ScalarType.Float64)));
        using var average = Swa.AveragedModel(model, Swa.get_ema_multi_avg_fn(0.9), use_buffers);
        Tensor? mean = null;
        for (int i = 0; i < 3; i++)
        {
            model.call(randn(8, 3, ScalarType.Float64));
            average.update_parameters(model);
            var now = model.get_buffer("norm.running_mean")!.clone();
            mean = mean is null || !use_buffers ? now : mean.lerp(now, tensor(0.1, ScalarType.Float64));
        }
        Compare.Close(mean, average.state_dict()["module.norm.running_mean"], "running_mean");
        Assert.Equal(3, average.state_dict()["module.norm.num_batches_tracked"].item<long>());
    }

    [Fact]
    public void Apply_exchanges_and_gives_back_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("fc", nn.Linear(4, 3)), ("norm", stab.nn.BatchNorm1d(3)));
        using var average = Swa.AveragedModel(model, Swa.get_ema_multi_avg_fn(0.5));
        Assert.Throws<InvalidOperationException>(average.Apply);
        for (int i = 0; i < 3; i++)
        {
            using (no_grad()) foreach (var p in model.parameters()) p.add_(randn_like(p));
            model.call(randn(8, 4));
            average.update_parameters(model);
        }
        var own = model.state_dict().ToDictionary(e => e.Key, e => e.Value.detach().clone());
        using (average.Apply())
        {
            foreach (var (key, value) in model.state_dict()) Compare.Identical(average.state_dict()[$"module.{key}"], value.detach(), key);
            Assert.Throws<InvalidOperationException>(average.Apply);
            Assert.Throws<InvalidOperationException>(() => average.update_parameters(model));
            model.call(randn(8, 4)); // running statistics move
        }
        foreach (var (key, value) in model.state_dict()) Compare.Identical(own[key], value.detach(), key);
        average.update_parameters(model);
        using var other = nn.Sequential(("fc", nn.Linear(4, 3)), ("norm", stab.nn.BatchNorm1d(3)));
        average.CopyTo(other);
        foreach (var (key, value) in other.state_dict()) Compare.Identical(average.state_dict()[$"module.{key}"], value.detach(), key);
        stab.nn.utils.update_bn(other, [randn(8, 4), randn(8, 4)]);
    }

    [Fact]
    public void Skipped_steps_do_not_count()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 2);
        using var optimizer = stab.optim.SGD(model.named_parameters(), 0.1);
        using var average = Swa.AveragedModel(model);
        foreach (double gradient in (double[])[1, double.NaN, 1])
        {
            foreach (var p in model.parameters()) p.grad = full_like(p, gradient);
            optimizer.step();
            Assert.Equal(double.IsFinite(gradient), average.update_parameters(model, optimizer));
        }
        Assert.Equal(2, average.n_averaged);
    }

    [Fact]
    public void Keys_are_PyTorchs_and_state_round_trips()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("fc", nn.Linear(4, 3)), ("norm", stab.nn.BatchNorm1d(3)));
        using var average = Swa.AveragedModel(model, Swa.get_ema_multi_avg_fn());
        average.update_parameters(model);
        Assert.Equal(new[] { "n_averaged" }.Concat(model.state_dict().Keys.Select(k => $"module.{k}")), average.state_dict().Keys);
        Assert.Equal(ScalarType.Int64, average.state_dict()["n_averaged"].dtype);
        using var loaded = Swa.AveragedModel(model, Swa.get_ema_multi_avg_fn());
        using (no_grad()) foreach (var p in model.parameters()) p.add_(1);
        string file = Path.GetTempFileName();
        average.save(file);
        loaded.load(file);
        File.Delete(file);
        Assert.Equal(1, loaded.n_averaged);
        foreach (var a in (AveragedModel[])[average, loaded]) a.update_parameters(model);
        foreach (var (key, value) in average.state_dict()) Compare.Identical(value, loaded.state_dict()[key], key);
        Assert.Throws<InvalidOperationException>(() => loaded.load_state_dict(new() { ["n_averaged"] = zeros([], ScalarType.Int64) }));
    }

    [Fact]
    public void Follows_a_model_that_is_moved_and_refuses_another_one()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(4, 3);
        using var average = Swa.AveragedModel(model);
        average.update_parameters(model);
        model.to(ScalarType.Float64);
        average.update_parameters(model);
        Assert.Equal(ScalarType.Float64, average.state_dict()["module.weight"].dtype);
        using (average.Apply()) model.to(ScalarType.Float32);
        using var wider = nn.Linear(5, 3);
        Assert.Contains("weight", Assert.Throws<ArgumentException>(() => average.update_parameters(wider)).Message);
        Assert.Contains("'weight'", Assert.Throws<ArgumentException>(() => average.CopyTo(nn.ReLU())).Message);
        Assert.Equal(2, average.n_averaged);
        foreach (double decay in (double[])[-0.1, 1.1, double.NaN]) Assert.Throws<ArgumentOutOfRangeException>(() => Swa.get_ema_multi_avg_fn(decay));
        Assert.Throws<ArgumentOutOfRangeException>(() => Swa.get_ema_multi_avg_fn(0.9, 0));
        using var wrong = Swa.AveragedModel(model, AveragingRule.FromWeights(_ => 2));
        wrong.update_parameters(model);
        Assert.Throws<InvalidOperationException>(() => wrong.update_parameters(model));
    }

    [Fact]
    public void Nothing_leaks()
    {
        using var model = nn.Sequential(("fc", nn.Linear(4, 3)), ("norm", stab.nn.BatchNorm1d(3)));
        using var average = Swa.AveragedModel(model);
        LiveTensors.AssertNoneLeft(() =>
        {
            average.update_parameters(model);
            using (average.Apply()) { }
        });
    }

    [Fact]
    public void A_model_that_cannot_be_written_whole_is_not_written_at_all()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("a", nn.Linear(4, 3)), ("b", nn.Linear(3, 2)));
        using var average = Swa.AveragedModel(model);
        average.update_parameters(model);
        TorchSharp.Modules.Linear locked;
        using (inference_mode()) locked = nn.Linear(3, 2);
        using var other = nn.Sequential(("a", nn.Linear(4, 3)), ("b", locked));
        var before = other.state_dict()["a.weight"].detach().clone();
        Assert.Contains("b.weight", Assert.Throws<ArgumentException>(() => average.CopyTo(other)).Message);
        Compare.Identical(before, other.state_dict()["a.weight"].detach(), "a.weight");
    }
}
