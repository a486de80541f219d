using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>BatchNorm and InstanceNorm modules against their torch.nn twins, step by step.</summary>
public class NormModuleTests
{
    public static TheoryData<string, int, bool, bool, bool, ScalarType> Cases
    {
        get
        {
            var data = new TheoryData<string, int, bool, bool, bool, ScalarType>();
            int seed = 0;
            foreach (string op in new[] { "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d" })
                foreach (bool affine in new[] { true, false })
                    foreach (bool track in new[] { true, false })
                        foreach (bool cumulative in op[0] == 'B' ? new[] { false, true } : [false]) // TorchSharp's InstanceNorm takes null for 0.1
                            foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32 }) data.Add(op, ++seed, affine, track, cumulative, dtype);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_module_equals_its_twin_through_training_and_evaluation(string op, int seed, bool affine, bool track, bool cumulative, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        const long C = 3;
        int rank = op[^2] - '0' + 2;
        double? momentum = cumulative ? null : 0.3;
        using var ours = GoldenModules.Create(op, C, 1e-4, momentum, affine, track, dtype);
        using var twin = Twin(op, C, 1e-4, affine, track, dtype);
        twin.momentum = momentum;
        Randomize(ours);
        twin.load_state_dict(ours.state_dict());
        foreach (bool train in new[] { true, true, false, true })
        {
            ours.train(train);
            twin.train(train);
            ours.zero_grad();
            twin.zero_grad();
            var values = randn([4, C, .. Enumerable.Repeat(5L, rank - 2)], dtype) * 2 + 1;
            var (x, z) = (values.clone().requires_grad_(true), values.clone().requires_grad_(true));
            var (y, expected) = (ours.call(x), twin.call(z));
            var upstream = randn(y.shape, dtype);
            y.backward([upstream]);
            expected.backward([upstream]);
            Compare.Close(expected, y, "output");
            Compare.Close(z.grad, x.grad, "grad_input");
            foreach (var (p, q) in twin.named_parameters().Zip(ours.named_parameters())) Compare.Close(p.parameter.grad, q.parameter.grad, "grad_" + p.name);
            var state = twin.state_dict();
            Assert.Equal(state.Keys.Order(), ours.state_dict().Keys.Order());
            foreach (var (key, value) in ours.state_dict()) Compare.Close(state[key], value, key);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_output_changed_in_place_still_gives_right_gradients(bool relu)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using BatchNorm ours = relu ? stab.nn.BatchNormReLU2d(3, dtype: ScalarType.Float64) : stab.nn.BatchNorm2d(3, dtype: ScalarType.Float64);
        using var twin = nn.BatchNorm2d(3, dtype: ScalarType.Float64);
        Randomize(ours);
        twin.load_state_dict(ours.state_dict());
        var values = randn([4, 3, 5, 5], ScalarType.Float64);
        var (x, z) = (values.clone().requires_grad_(true), values.clone().requires_grad_(true));
        var (other, upstream) = (randn_like(values), randn_like(values));
        ours.call(x).add_(other).relu_().backward([upstream]);
        var plain = twin.call(z);
        (relu ? plain.relu() : plain).add(other).relu().backward([upstream]);
        Compare.Close(z.grad, x.grad, "grad_input");
        Compare.Close(twin.weight.grad, ours.weight.grad, "grad_weight");
        Compare.Close(twin.bias!.grad, ours.bias!.grad, "grad_bias");
    }

    [Theory]
    [InlineData("BatchNorm1d", "contiguous")]
    [InlineData("BatchNorm2d", "channels_last")]
    [InlineData("BatchNorm3d", "sliced")]
    public void BatchNormReLU_is_BatchNorm_then_relu(string op, string layout)
    {
        using var scope = NewDisposeScope();
        int rank = op[^2] - '0' + 2;
        var a = NormArguments.Draw(41 + rank, rank, layout, ScalarType.Float64, false);
        long c = a.Input.shape[1];
        using BatchNorm fused = rank switch
        {
            3 => stab.nn.BatchNormReLU1d(c, dtype: ScalarType.Float64),
            4 => stab.nn.BatchNormReLU2d(c, dtype: ScalarType.Float64),
            _ => stab.nn.BatchNormReLU3d(c, dtype: ScalarType.Float64),
        };
        Assert.StartsWith($"BatchNormReLU{rank - 2}d({c}, eps=", fused.ToString(), StringComparison.Ordinal);
        using var plain = Twin(op, c, 1e-5, true, true, ScalarType.Float64);
        Randomize(fused);
        plain.load_state_dict(fused.state_dict());
        foreach (bool train in new[] { true, false })
        {
            fused.train(train);
            plain.train(train);
            a = a with { Weight = null, Bias = null, Directions = [randn_like(a.Input)] };
            a.Compare((x, _, _, _, _) => plain.call(x).relu(), (x, _, _, _, _) => fused.call(x), train ? "train" : "eval", second: true);
            foreach (var (key, value) in plain.state_dict()) Compare.Close(value, fused.state_dict()[key], key);
        }
        fused.train();
        var bad = randn([4, c, .. Enumerable.Repeat(5L, rank - 2)], ScalarType.Float64);
        bad.select(1, 0).fill_(double.NaN);
        Assert.True(fused.call(bad).select(1, 0).isnan().all().item<bool>());
    }

    [Fact]
    public void The_count_of_batches_is_an_integer_that_keeps_counting()
    {
        using var scope = NewDisposeScope();
        using var m = stab.nn.BatchNorm1d(2, momentum: null, dtype: ScalarType.BFloat16);
        m.num_batches_tracked!.fill_(256);
        m.call(randn(4, 2).bfloat16()).Dispose();
        Assert.Equal(257, m.num_batches_tracked!.item<long>());
        Assert.Equal(ScalarType.Int64, m.num_batches_tracked!.dtype);
        m.num_batches_tracked = zeros([]); // as TorchSharp's of a module made in a dtype
        m.call(randn(4, 2).bfloat16()).Dispose();
        Assert.Equal(1, m.num_batches_tracked!.item<float>());
    }

    [Fact]
    public void Statistics_no_longer_tracked_serve_evaluation_alone()
    {
        using var scope = NewDisposeScope();
        manual_seed(12);
        using var m = stab.nn.BatchNorm1d(3);
        Randomize(m);
        m.track_running_stats = false;
        var (x, before) = (randn(4, 3), m.state_dict().ToDictionary(e => e.Key, e => e.Value.clone()));
        Compare.Close(nn.functional.batch_norm(x, null!, null!, m.weight, m.bias!, training: true), m.call(x), "training");
        foreach (var (key, value) in before) Compare.Identical(value, m.state_dict()[key], key);
        m.eval();
        Compare.Close(nn.functional.batch_norm(x, m.running_mean!, m.running_var!, m.weight, m.bias!), m.call(x), "evaluation");
    }

    [Fact]
    public void One_statistic_without_the_other_is_none()
    {
        using var scope = NewDisposeScope();
        using var m = stab.nn.BatchNorm1d(3);
        m.running_var = null;
        m.SingleValuePolicy = SingleValuePolicy.UseRunningStatistics;
        Assert.Contains("Expected more than 1 value", Assert.Throws<ArgumentException>(() => m.call(randn(1, 3))).Message, StringComparison.Ordinal);
        m.eval();
        Assert.Contains("running_var must be defined in evaluation mode", Assert.Throws<ArgumentException>(() => m.call(randn(4, 3))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Statistics_may_lie_apart_in_memory()
    {
        using var scope = NewDisposeScope();
        var (x, mean, variance, apart) = (randn(4, 3, 5), zeros(3), ones(3), ones(3, 2).select(1, 0));
        var expected = nn.functional.batch_norm(x, mean, variance, null!, null!, training: true);
        var ownMean = zeros(3);
        Compare.Close(expected, stab.nn.functional.batch_norm(x, ownMean, apart, training: true), "output");
        Compare.Close(mean, ownMean, "mean");
        Compare.Close(variance, apart, "variance");
    }

    [Fact]
    public void A_single_value_may_use_the_running_statistics()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        using var m = stab.nn.BatchNorm1d(3);
        Randomize(m);
        var x = randn(1, 3);
        var before = m.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
        var e = Assert.Throws<ArgumentException>(() => m.call(x));
        Assert.Contains("Expected more than 1 value per channel when training, got input size torch.Size([1, 3])", e.Message, StringComparison.Ordinal);
        m.SingleValuePolicy = SingleValuePolicy.UseRunningStatistics;
        var y = m.call(x);
        foreach (var (key, value) in before) Compare.Identical(value, m.state_dict()[key], key);
        m.eval();
        Compare.Identical(m.call(x), y, "as in eval");
        m.train();
        Compare.Close(nn.functional.batch_norm(cat([x, -x]), null!, null!, m.weight, m.bias!, training: true), m.call(cat([x, -x])),
            "of two values those of the batch");
        Assert.Equal(1, m.num_batches_tracked!.item<long>());
        using var untracked = stab.nn.BatchNorm1d(3, track_running_stats: false);
        untracked.SingleValuePolicy = SingleValuePolicy.UseRunningStatistics;
        Assert.Throws<ArgumentException>(() => untracked.call(x));
    }

    internal static TorchSharp.Modules.NormBase Twin(string op, long c, double eps, bool affine, bool track, ScalarType dtype) => op switch
    {
        "BatchNorm1d" => nn.BatchNorm1d(c, eps, affine: affine, track_running_stats: track).Converted(dtype),
        "BatchNorm2d" => nn.BatchNorm2d(c, eps, affine: affine, track_running_stats: track).Converted(dtype),
        "BatchNorm3d" => nn.BatchNorm3d(c, eps, affine: affine, track_running_stats: track).Converted(dtype),
        "InstanceNorm1d" => nn.InstanceNorm1d(c, eps, 0.3, affine, track).Converted(dtype),
        "InstanceNorm2d" => nn.InstanceNorm2d(c, eps, 0.3, affine, track).Converted(dtype),
        _ => nn.InstanceNorm3d(c, eps, 0.3, affine, track).Converted(dtype),
    };

    /// <summary>Random parameters and statistics, as after training.</summary>
    internal static void Randomize(NormBase module)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var parameter in module.parameters()) parameter.copy_(randn_like(parameter));
        module.running_mean?.copy_(randn_like(module.running_mean));
        module.running_var?.copy_(rand_like(module.running_var) + 0.5);
    }
}

file static class Twins
{
    // In the constructor the dtype would make the counter a floating-point number.
    public static T Converted<T>(this T module, ScalarType dtype) where T : nn.Module => TorchSharp.ModuleExtensionMethods.to(module, dtype);
}
