using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using NormBase = TorchStab.Modules.NormBase;

namespace TorchStab.Tests.Normalization;

/// <summary>Norm modules as citizens of a TorchSharp program: setters, moves, files, containers, threads, scopes.</summary>
public class NormCitizenshipTests
{
    private static readonly string[] Keys = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];

    [Fact]
    public void Setting_a_parameter_to_itself_or_null_and_back_keeps_the_module_whole()
    {
        using var m = stab.nn.BatchNorm1d(3);
        m.bias = m.bias;
        m.weight = m.weight;
        m.running_mean = m.running_mean;
        Assert.Equal(Keys, m.state_dict().Keys);
        m.weight = null;
        m.bias = null;
        m.running_var = null;
        Assert.Equal(["running_mean", "num_batches_tracked"], m.state_dict().Keys);
        Assert.Empty(m.parameters());
        using (NewDisposeScope())
        {
            m.bias = nn.Parameter(full(3, 2f));
            m.weight = nn.Parameter(ones(3), requires_grad: false);
            m.running_var = ones(3);
        }
        Assert.Equal(Keys, m.state_dict().Keys);
        Assert.False(m.weight.requires_grad);
        m.eval();
        using var y = m.call(zeros(2, 3));
        Compare.Close(full(2, 3, 2f), y, "after the scope");
    }

    [Fact]
    public void Moves_take_values_gradients_and_requires_grad_along()
    {
        using var scope = NewDisposeScope();
        using var m = stab.nn.BatchNorm1d(3);
        m.weight.requires_grad_(false);
        m.call(randn(4, 3)).backward([randn(4, 3)]);
        var (grad, mean) = (m.bias!.grad!.clone(), m.running_mean!.clone());
        Assert.Same(m, m.to(ScalarType.Float64));
        Assert.All(new[] { m.weight, m.bias, m.bias.grad, m.running_mean, m.running_var }, t => Assert.Equal(ScalarType.Float64, t!.dtype));
        Assert.Equal(ScalarType.Int64, m.num_batches_tracked!.dtype);
        Assert.Equal(1, m.num_batches_tracked.item<long>());
        Assert.False(m.weight.requires_grad);
        Assert.True(m.bias.requires_grad && m.bias.is_leaf);
        Compare.Close(grad.to(ScalarType.Float64), m.bias.grad, "gradient");
        Compare.Close(mean.to(ScalarType.Float64), m.running_mean, "mean");
        Assert.Equal(Keys, m.state_dict().Keys);
        Assert.All(m.half().state_dict().Where(e => e.Key != "num_batches_tracked"), e => Assert.Equal(ScalarType.Float16, e.Value.dtype));
        Assert.Equal(ScalarType.Float16, m.call(randn(4, 3).half()).dtype);
        Assert.Equal(2, m.num_batches_tracked!.item<long>());

        m.to(ScalarType.Float32);
        var (weight, bias, count) = (m.weight, m.bias, m.num_batches_tracked);
        m.to(CPU).to(CPU, ScalarType.Float32);
        Assert.Same(weight, m.weight);
        Assert.Same(bias, m.bias);
        Assert.Same(count, m.num_batches_tracked);
        using var model = nn.Sequential(m);
        model.to(ScalarType.BFloat16);
        Assert.Equal(ScalarType.BFloat16, m.running_var!.dtype);
        Assert.Equal(ScalarType.Int64, m.num_batches_tracked!.dtype);
    }

    [Fact]
    public void Moves_to_a_device_take_everything_along()
    {
        using var m = stab.nn.BatchNorm1d(3);
        m.to(CPU, ScalarType.Float64);
        Assert.Equal(ScalarType.Float64, m.running_var!.dtype);
        m.to(META);
        Assert.All(m.state_dict().Values, t => Assert.Equal(DeviceType.META, t.device_type));
    }

    [Theory]
    [InlineData("BatchNorm2d")]
    [InlineData("InstanceNorm2d")]
    public void Files_go_both_ways_between_a_module_and_its_twin(string op)
    {
        using var ours = GoldenModules.Create(op, 3, 1e-5, 0.1, true, true, ScalarType.Float32);
        using var twin = NormModuleTests.Twin(op, 3, 1e-5, true, true, ScalarType.Float32);
        using var back = GoldenModules.Create(op, 3, 1e-5, 0.1, true, true, ScalarType.Float32);
        NormModuleTests.Randomize(ours);
        ours.num_batches_tracked!.fill_(12);
        twin.load(new MemoryStream(Saved(ours)));
        Dictionary<string, bool> loaded = [];
        back.load(new MemoryStream(Saved(twin)), loadedParameters: loaded);
        foreach (var (key, value) in ours.state_dict()) Compare.Identical(value, back.state_dict()[key], key);
        Assert.Equal(Keys.Order(), loaded.Keys.Order());
        Assert.All(loaded.Values, Assert.True);
        twin.load_state_dict(ours.state_dict());
        back.reset_parameters();
        Compare.Identical(ones(3), back.weight, "reset");
        Assert.Equal(0, back.num_batches_tracked!.item<long>());
        back.load_state_dict(twin.state_dict());
        foreach (var (key, value) in ours.state_dict()) Compare.Identical(value, back.state_dict()[key], key);
    }

    [Fact]
    public void A_file_that_does_not_fit_is_refused_before_anything_is_written()
    {
        using var scope = NewDisposeScope();
        using var m = stab.nn.BatchNorm1d(3);
        using var five = stab.nn.BatchNorm1d(5);
        using var bare = stab.nn.BatchNorm1d(3, track_running_stats: false);
        NormModuleTests.Randomize(bare);
        var e = Assert.Throws<InvalidOperationException>(() => m.load(new MemoryStream(Saved(five))));
        Assert.Contains("size mismatch for running_var: copying a param with shape torch.Size([5]) from checkpoint, the shape in current model is "
            + "torch.Size([3]).", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<InvalidOperationException>(() => m.load(new MemoryStream(Saved(bare))));
        Assert.Contains("Missing key(s) in state_dict: \"running_mean\", \"running_var\". ", e.Message, StringComparison.Ordinal);
        Assert.ThrowsAny<Exception>(() => m.load(new MemoryStream(Saved(five)[..^9])));
        Compare.Identical(ones(3), m.weight, "weight");
        m.load(new MemoryStream(Saved(bare)), strict: false, skip: ["bias"]);
        Compare.Identical(bare.weight, m.weight, "loaded");
        Compare.Identical(zeros(3), m.bias!, "skipped");
        var (missing, unexpected) = m.load_state_dict(new() { ["weight"] = ones(3), ["more"] = ones(1) }, strict: false);
        Assert.Equal(["bias", "running_mean", "running_var"], missing);
        Assert.Equal(["more"], unexpected);
        Assert.Throws<InvalidOperationException>(() => m.load_state_dict(new() { ["weight"] = ones(1) }, strict: false));
    }

    [Fact]
    public void Modules_live_in_containers_and_fields()
    {
        using var scope = NewDisposeScope();
        using var model = new Model();
        string[] names = [.. model.named_parameters().Select(p => p.name)];
        Assert.Equal(4, names.Length);
        Assert.All(Keys.Take(2), key => Assert.True(names.Contains("norm." + key) && names.Contains("list.0." + key), key));
        Assert.Equal(6, model.named_buffers().Count());
        List<string> modules = [];
        model.apply(m => modules.Add(m.GetName()));
        Assert.Contains("BatchNorm2d", modules);
        Assert.Contains("BatchNormReLU2d", modules);
        model.eval();
        Assert.False(model.norm.training);
        using var y = model.call(randn(2, 3, 4, 4));
        var x = randn(2, 3, 4, 4);
        using var sequential = nn.Sequential(stab.nn.BatchNorm2d(3), stab.nn.InstanceNorm2d(3));
        using var z = sequential.call(x);
        Assert.False(x.IsInvalid); // the input is no intermediate
        using var kept = stab.nn.BatchNorm2d(3);
        Assert.NotSame(x, kept.call(x));
        Assert.NotSame(x, kept.call(zeros(0, 3, 4, 4)));
    }

    [Fact]
    public void State_outlives_scopes_and_is_disposed_once()
    {
        NormBase m;
        using (NewDisposeScope())
        {
            m = stab.nn.BatchNorm1d(3);
            m.call(randn(4, 3));
            m.to(ScalarType.Float64);
            m.call(randn(4, 3, dtype: ScalarType.Float64));
        }
        Assert.Equal(2, m.num_batches_tracked!.item<long>());
        var weight = m.weight;
        m.Dispose();
        Assert.True(weight.IsInvalid);
        m.Dispose();
    }

    [Fact]
    public void A_step_leaves_no_tensor_behind()
    {
        using var scopeless = stab.nn.BatchNorm2d(3);
        using var relu = stab.nn.BatchNormReLU2d(3);
        using var renorm = stab.nn.BatchRenorm2d(3);
        using var instance = stab.nn.InstanceNorm2d(3, affine: true, track_running_stats: true);
        using var mask = ones(4, 1, 5, 5);
        using var upstream = randn(4, 3, 5, 5);
        foreach (var m in new NormBase[] { scopeless, relu, renorm, instance })
        {
            void Step(bool masked)
            {
                using var x = randn(4, 3, 5, 5, requires_grad: true);
                using var y = masked ? ((TorchStab.Modules.BatchNorm)m).forward(x, mask) : m.call(x);
                y.backward([upstream]);
                m.zero_grad();
            }
            foreach (bool train in new[] { true, false })
            {
                m.train(train);
                LiveTensors.AssertNoneLeft(() => Step(false));
                if (m is TorchStab.Modules.BatchNorm) LiveTensors.AssertNoneLeft(() => Step(true));
            }
            LiveTensors.AssertNoneLeft(() => m.load(new MemoryStream(Saved(m))));
            LiveTensors.AssertNoneLeft(() => Assert.ThrowsAny<ArgumentException>(() =>
            {
                using var wrong = randn([4, 3, 5, 5, 5]);
                m.call(wrong);
            }));
        }
    }

    [Fact]
    public void Making_and_moving_a_module_leaves_no_more_than_TorchSharps_own_counter_says()
    {
        using var ours = stab.nn.BatchNorm2d(3);
        using var twin = nn.BatchNorm2d(3);
        // new Parameter(data) empties data without counting it as gone: one for each parameter, in the twin too.
        static long Growth(Action body)
        {
            body();
            long before = Tensor.TotalCount;
            body();
            return Tensor.TotalCount - before;
        }
        Assert.True(Growth(() => ours.to(ScalarType.Float64).to(ScalarType.Float32)) <= Growth(() => twin.to(ScalarType.Float64).to(ScalarType.Float32)));
        Assert.True(Growth(() => stab.nn.BatchNorm2d(3).Dispose()) <= Growth(() => nn.BatchNorm2d(3).Dispose()));
    }

    [Fact]
    public void Calls_balance_the_callers_scope()
    {
        using var m = stab.nn.BatchNorm2d(3);
        using var scope = NewDisposeScope();
        var x = randn(4, 3, 5, 5);
        long before = scope.DisposablesCount;
        var y = m.call(x);
        Assert.Equal(before + 1, scope.DisposablesCount);
        Assert.True(scope.Contains(y));
    }

    private static byte[] Saved(nn.Module module)
    {
        using var stream = new MemoryStream();
        module.save(stream);
        return stream.ToArray();
    }

    private sealed class Model : nn.Module<Tensor, Tensor>
    {
        public readonly TorchStab.Modules.BatchNorm2d norm = stab.nn.BatchNorm2d(3);
        private readonly ModuleList<nn.Module<Tensor, Tensor>> list = new(stab.nn.BatchNormReLU2d(3));

        public Model() : base(nameof(Model)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            using var y = norm.call(input);
            return list[0].call(y);
        }
    }
}
