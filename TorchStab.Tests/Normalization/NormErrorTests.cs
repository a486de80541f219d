using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

/// <summary>Wrong calls of batch and instance norm: PyTorch's words, at the edge, with nothing changed behind them.</summary>
public class NormErrorTests
{
    public static TheoryData<string, string, string> FunctionalErrors => new()
    {
        { "batch: running_mean 5", "running_mean", "running_mean should contain 3 elements not 5" },
        { "batch: running_var 5", "running_var", "running_var should contain 3 elements not 5" },
        { "batch: weight 5", "weight", "weight should contain 3 elements not 5" },
        { "batch: bias 5", "bias", "bias should contain 3 elements not 5" },
        { "batch: mean alone", "running_var", "running_mean and running_var must either both be None or neither be None" },
        { "batch: variance alone", "running_mean", "running_mean and running_var must either both be None or neither be None" },
        { "batch: eval without statistics", "running_mean", "running_mean must be defined in evaluation mode" },
        { "batch: eval without variance", "running_var", "running_var must be defined in evaluation mode" },
        { "batch: integers", "input", "\"batch_norm\" not implemented for 'Long'" },
        { "batch: complex numbers", "input", "\"batch_norm\" not implemented for 'ComplexFloat'" },
        { "batch: weight float64", "weight", "mixed dtype (CPU): expect parameter to have scalar type of Float" },
        { "batch: input float64", "input", "mixed dtype (CPU): all inputs must share same datatype." },
        { "batch: statistics bfloat16", "running_mean", "expected scalar type Float but found BFloat16" },
        { "batch: bias float64", "bias", "mixed dtype (CPU): expect parameter to have scalar type of Float" },
        { "batch: statistics float64", "running_mean", "mixed dtype (CPU): expect parameter to have scalar type of Float" },
        { "batch: variance bfloat16", "running_var", "expected scalar type Float but found BFloat16" },
        { "batch: bias bfloat16", "bias", "expected scalar type Float but found BFloat16" },
        { "instance: eval without statistics", "running_mean", "Expected running_mean and running_var to be defined when use_input_stats is false" },
        { "instance: eval without variance", "running_var", "Expected running_mean and running_var to be defined when use_input_stats is false" },
        { "instance: mean alone", "running_var", "running_mean and running_var must either both be None or neither be None" },
        { "instance: weight 5", "weight", "weight should contain 12 elements not 20" },
        { "instance: running_mean 5", "running_mean", "running_mean should contain 12 elements not 20" },
        { "instance: weight float64", "weight", "mixed dtype (CPU): expect parameter to have scalar type of Float" },
        { "instance: integers", "input", "\"batch_norm\" not implemented for 'Long'" },
    };

    [Theory]
    [MemberData(nameof(FunctionalErrors))]
    public void A_functional_refuses_what_libtorch_refuses(string call, string argument, string words)
    {
        using var scope = NewDisposeScope();
        var (x, mean, variance) = (randn(4, 3, 2), zeros(3), ones(3));
        Assert.Contains(words, Assert.ThrowsAny<Exception>(() => Run(call, x, mean.clone(), variance.clone(), libtorch: true)).Message,
            StringComparison.Ordinal);
        var e = Assert.Throws<ArgumentException>(argument, () => Run(call, x, mean, variance, libtorch: false));
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        Compare.Identical(zeros(3), mean, "running_mean");
        Compare.Identical(ones(3), variance, "running_var");
    }

    [Fact]
    public void A_functional_refuses_what_PyTorch_refuses_in_Python()
    {
        using var scope = NewDisposeScope();
        var e = Assert.Throws<ArgumentException>(() => stab.nn.functional.batch_norm(randn(1, 3), null, null, training: true));
        Assert.Contains("Expected more than 1 value per channel when training, got input size torch.Size([1, 3])", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => stab.nn.functional.instance_norm(randn(4, 3, 1)));
        Assert.Contains("Expected more than 1 spatial element when training, got input size torch.Size([4, 3, 1])", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => stab.nn.functional.instance_norm(randn(4, 3)));
        Assert.Contains("Expected more than 1 spatial element when training, got input size torch.Size([4, 3])", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => stab.nn.functional.batch_norm(randn(4, 3), zeros(3), ones(3), eps: -1));
        Assert.Contains("batch_norm eps must be positive, but got -1.0", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => stab.nn.functional.batch_norm(randn(4), zeros(3), ones(3)));
        Assert.Contains("Dimension out of range (expected to be in range of [-1, 0], but got 1)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => stab.nn.functional.batch_norm(null!, null, null, training: true));
    }

    [Fact]
    public void A_refusal_says_what_its_numbers_count()
    {
        using var scope = NewDisposeScope();
        string Refusal(Func<Tensor> call) => Assert.Throws<ArgumentException>(call).Message;
        Assert.Contains("elements not 20; it has 5 for 3 channels, each counted for 4 samples",
            Refusal(() => stab.nn.functional.instance_norm(randn(4, 3, 2), weight: ones(5))), StringComparison.Ordinal);
        Assert.DoesNotContain("counted", Refusal(() => stab.nn.functional.batch_norm(randn(4, 3), null, null, ones(5), training: true)),
            StringComparison.Ordinal);
        Assert.Contains("got input size torch.Size([1, 3]); use a larger batch",
            Refusal(() => stab.nn.functional.batch_norm(randn(1, 3), null, null, training: true)), StringComparison.Ordinal);
    }

    [Fact]
    public void The_way_out_of_a_single_value_is_one()
    {
        using var scope = NewDisposeScope();
        foreach (bool track in new[] { true, false })
        {
            foreach (bool training in new[] { true, false })
            {
                using var module = stab.nn.BatchNorm1d(3, track_running_stats: track);
                module.train(training);
                if (track && !training)
                {
                    module.call(randn(1, 3));
                    continue;
                }
                string message = Assert.Throws<ArgumentException>("input", () => module.call(randn(1, 3))).Message;
                Assert.Equal(track, message.Contains("eval(), or SingleValuePolicy.UseRunningStatistics", StringComparison.Ordinal));
                Assert.Equal(!track, message.Contains("without running statistics (track_running_stats: false", StringComparison.Ordinal));
            }
        }
    }

    [Fact]
    public void An_empty_vector_is_taken_as_libtorch_takes_it()
    {
        using var scope = NewDisposeScope();
        foreach (bool training in new[] { true, false })
            Assert.Equal([0L], stab.nn.functional.batch_norm(zeros(0), zeros(3), ones(3), ones(3), zeros(3), training).shape);
        Assert.Throws<ArgumentException>("input", () => stab.nn.functional.batch_norm(zeros([]), null, null, training: true));
        Assert.Throws<ArgumentException>("input", () => stab.nn.functional.instance_norm(zeros(0)));
    }

    [Fact]
    public void Without_elements_nothing_is_counted_as_in_libtorch()
    {
        using var scope = NewDisposeScope();
        var (x, five) = (zeros(0, 3, 2), zeros(5));
        Assert.Equal(F.batch_norm(x, five, five, five, five, training: true).shape,
            stab.nn.functional.batch_norm(x, five, five, five, five, training: true).shape);
        Assert.Equal(x.shape, stab.nn.functional.instance_norm(x, five, five, five, five).shape);
    }

    public static TheoryData<string, long[], bool, string> ModuleErrors => new()
    {
        { "BatchNorm1d", [3], true, "expected 2D or 3D input (got 1D input)" },
        { "BatchNorm1d", [2, 3, 4, 5], false, "expected 2D or 3D input (got 4D input)" },
        { "BatchNorm2d", [2, 3, 4], true, "expected 4D input (got 3D input)" },
        { "BatchNorm3d", [2, 3, 4, 5], false, "expected 5D input (got 4D input)" },
        { "BatchNorm1d", [4, 5], true, "running_mean should contain 5 elements not 3" },
        { "BatchNorm2d", [4, 2, 3, 3], false, "running_mean should contain 2 elements not 3" },
        { "BatchNorm1d", [1, 3], true, "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])" },
        { "BatchNorm2d", [1, 3, 1, 1], true, "Expected more than 1 value per channel when training, got input size torch.Size([1, 3, 1, 1])" },
        { "InstanceNorm1d", [2, 3, 4, 5], true, "expected 2D or 3D input (got 4D input)" },
        { "InstanceNorm2d", [2, 3], true, "expected 3D or 4D input (got 2D input)" },
        { "InstanceNorm3d", [2, 3, 4], false, "expected 4D or 5D input (got 3D input)" },
        { "InstanceNorm2d", [2, 5, 4, 4], true, "expected input's size at dim=1 to match num_features (3), but got: 5." },
        { "InstanceNorm1d", [5, 4], false, "expected input's size at dim=0 to match num_features (3), but got: 5." },
        { "InstanceNorm2d", [4, 3, 1, 1], true, "Expected more than 1 spatial element when training, got input size torch.Size([4, 3, 1, 1])" },
    };

    [Theory]
    [MemberData(nameof(ModuleErrors))]
    public void A_module_that_refuses_is_as_it_was(string op, long[] shape, bool train, string words)
    {
        using var scope = NewDisposeScope();
        using var module = GoldenModules.Create(op, 3, 1e-5, null, true, true, ScalarType.Float32);
        NormModuleTests.Randomize(module);
        module.train(train);
        var before = module.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
        var e = Assert.ThrowsAny<ArgumentException>(() => module.call(randn(shape)));
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        Assert.Equal("input", e.ParamName?.Replace("running_mean", "input", StringComparison.Ordinal));
        foreach (var (key, value) in before) Compare.Identical(value, module.state_dict()[key], key);
        Assert.Equal(train, module.training);
    }

    [Fact]
    public void A_wrong_dtype_leaves_the_module_as_it_was()
    {
        using var scope = NewDisposeScope();
        using var module = stab.nn.BatchNorm1d(3);
        Assert.Contains("mixed dtype (CPU)", Assert.Throws<ArgumentException>(() => module.call(randn(4, 3, dtype: ScalarType.Float64))).Message,
            StringComparison.Ordinal);
        Assert.Equal(0, module.num_batches_tracked!.item<long>());
    }

    [Fact]
    public void Constructors_and_moves_refuse_impossible_arguments()
    {
        Assert.Contains("negative dimension -1", Assert.Throws<ArgumentOutOfRangeException>(() => stab.nn.BatchNorm1d(-1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("num_features", () => stab.nn.BatchNorm1d(-1, affine: false, track_running_stats: false));
        Assert.Throws<ArgumentException>(() => stab.nn.BatchNorm1d(3, dtype: ScalarType.Int64));
        Assert.Throws<ArgumentException>("dtype", () => stab.nn.BatchNorm1d(3, affine: false, dtype: ScalarType.Int64));
        using var module = stab.nn.BatchNorm1d(3);
        var e = Assert.Throws<ArgumentException>(() => TorchSharp.ModuleExtensionMethods.to(module, ScalarType.Int64));
        Assert.Contains("nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int64", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("dtype", () => TorchSharp.ModuleExtensionMethods.to(module, CPU, ScalarType.Int64));
        Assert.Equal(ScalarType.Float32, module.weight.dtype);
    }

    private static Tensor Run(string call, Tensor x, Tensor mean, Tensor variance, bool libtorch)
    {
        Tensor Batch(Tensor x, Tensor? m, Tensor? v, Tensor? w = null, Tensor? b = null, bool training = true) =>
            libtorch ? F.batch_norm(x, m!, v!, w!, b!, training) : stab.nn.functional.batch_norm(x, m, v, w, b, training);
        Tensor Instance(Tensor x, Tensor? m, Tensor? v, Tensor? w = null, bool stats = true) =>
            libtorch ? F.instance_norm(x, m, v, w, null, stats) : stab.nn.functional.instance_norm(x, m, v, w, null, stats);
        return call switch
        {
            "batch: running_mean 5" => Batch(x, zeros(5), variance),
            "batch: running_var 5" => Batch(x, mean, ones(5), training: false),
            "batch: weight 5" => Batch(x, mean, variance, ones(5)),
            "batch: bias 5" => Batch(x, mean, variance, null, ones(5)),
            "batch: mean alone" => Batch(x, mean, null),
            "batch: variance alone" => Batch(x, null, variance),
            "batch: eval without statistics" => Batch(x, null, null, training: false),
            "batch: eval without variance" => Batch(x, mean, null, training: false),
            "batch: integers" => Batch(x.to(ScalarType.Int64), null, null),
            "batch: complex numbers" => Batch(x.to(ScalarType.ComplexFloat32), null, null),
            "batch: weight float64" => Batch(x, mean, variance, ones(3, ScalarType.Float64)),
            "batch: input float64" => Batch(x.to(ScalarType.Float64), mean, variance, ones(3)),
            "batch: statistics bfloat16" => Batch(x, mean.bfloat16(), variance.bfloat16(), ones(3)),
            "batch: bias float64" => Batch(x, null, null, null, zeros(3, ScalarType.Float64)),
            "batch: statistics float64" => Batch(x, mean.to(ScalarType.Float64), variance.to(ScalarType.Float64)),
            "batch: variance bfloat16" => Batch(x, mean, variance.bfloat16()),
            "batch: bias bfloat16" => Batch(x, mean, variance, ones(3), zeros(3).bfloat16()),
            "instance: eval without statistics" => Instance(x, null, null, stats: false),
            "instance: eval without variance" => Instance(x, mean, null, stats: false),
            "instance: mean alone" => Instance(x, mean, null),
            "instance: weight 5" => Instance(x, mean, variance, ones(5)),
            "instance: running_mean 5" => Instance(x, zeros(5), ones(5)),
            "instance: weight float64" => Instance(x, mean, variance, ones(3, ScalarType.Float64)),
            "instance: integers" => Instance(x.to(ScalarType.Int64), null, null),
            _ => throw new FormatException(call),
        };
    }
}
