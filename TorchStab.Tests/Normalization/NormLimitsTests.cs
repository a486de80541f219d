using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Normalization;

/// <summary>Numbers as PyTorch prints them, the ends of ranges, and what is refused by name.</summary>
public class NormLimitsTests
{
    [Theory]
    [InlineData(1e-5, "1e-05")]
    [InlineData(0.1, "0.1")]
    [InlineData(3.0, "3.0")]
    [InlineData(-2.0, "-2.0")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(1e15, "1000000000000000.0")]
    [InlineData(-1e15, "-1000000000000000.0")]
    [InlineData(1.5e300, "1.5e+300")]
    [InlineData(0.0, "0.0")]
    [InlineData(double.NaN, "nan")]
    [InlineData(double.PositiveInfinity, "inf")]
    [InlineData(double.NegativeInfinity, "-inf")]
    public void Numbers_print_as_Pythons_do(double value, string text) => Assert.Equal(text, Repr.Of(value));

    [Fact]
    public void The_rest_prints_as_PyTorchs_does()
    {
        Assert.Equal(("True", "False", "None", "0.5"), (Repr.Of(true), Repr.Of(false), Repr.Of((double?)null), Repr.Of((double?)0.5)));
        Assert.Equal(("(3,)", "(3, 4)", "()", "[3, 4]", "torch.Size([2])"),
            (Repr.Tuple([3]), Repr.Tuple([3, 4]), Repr.Tuple([]), Repr.List([3, 4]), Repr.Size([2])));
        Assert.Equal(["torch.uint8", "torch.complex64", "torch.complex128", "torch.bfloat16"],
            new[] { ScalarType.Byte, ScalarType.ComplexFloat32, ScalarType.ComplexFloat64, ScalarType.BFloat16 }.Select(Repr.Of));
    }

    [Theory]
    [InlineData(ScalarType.Int8, "'Char'")]
    [InlineData(ScalarType.Int16, "'Short'")]
    [InlineData(ScalarType.Int32, "'Int'")]
    [InlineData(ScalarType.Bool, "'Bool'")]
    [InlineData(ScalarType.ComplexFloat64, "'ComplexDouble'")]
    public void A_dtype_that_is_no_number_on_a_line_is_named_as_PyTorch_names_it(ScalarType dtype, string name)
    {
        using var scope = NewDisposeScope();
        var x = ones(4, 3, dtype);
        foreach (Func<Tensor> call in new Func<Tensor>[] { () => stab.nn.functional.batch_norm(x, null, null, training: true),
            () => stab.nn.functional.layer_norm(x, [3]) })
            Assert.Contains($"not implemented for {name}", Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_norm_refuses_mixed_dtypes_in_the_same_words()
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(4, 4, 2, dtype: ScalarType.Float64), ones(4, ScalarType.Float32));
        Func<Tensor, Tensor, Tensor>[] norms =
            [(x, w) => stab.nn.functional.batch_norm(x, null, null, w, training: true), (x, w) => stab.nn.functional.instance_norm(x, weight: w),
            (x, w) => stab.nn.functional.group_norm(x, 2, w), (x, w) => stab.nn.functional.layer_norm(x.transpose(1, 2).contiguous(), [4], w)];
        foreach (var norm in norms)
        {
            Refused("mixed dtype (CPU): all inputs must share same datatype. The input is Float64, the parameters are Float32: convert one with .to(dtype)",
                "input", () => norm(x, weight));
            Refused("mixed dtype (CPU): expect parameter to have scalar type of Float; weight is Int16 and the input is Float64: convert weight with "
                + ".to(ScalarType.Float32)", "weight", () => norm(x, weight.to(ScalarType.Int16)));
        }
    }

    [Theory]
    [InlineData(double.NaN, "nan")]
    [InlineData(-1e-5, "-1e-05")]
    public void An_eps_that_is_none_is_refused_and_zero_taken(double eps, string text)
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 3, 5, ScalarType.Float64);
        Assert.Contains($"batch_norm eps must be positive, but got {text}", Assert.Throws<ArgumentException>(nameof(eps),
            () => stab.nn.functional.batch_norm(x, null, null, training: true, eps: eps)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(nameof(eps), () => stab.nn.functional.instance_norm(x, eps: eps));
        var exact = (x - x.mean([0, 2], keepdim: true)) / x.var([0, 2], unbiased: false, keepdim: true).sqrt();
        Compare.Close(exact, stab.nn.functional.batch_norm(x, null, null, training: true, eps: 0), "eps 0");
    }

    [Fact]
    public void Missing_tensors_are_named()
    {
        using var scope = NewDisposeScope();
        Named("input", () => stab.nn.functional.batch_norm(null!, null, null, training: true));
        Named("input", () => stab.nn.functional.instance_norm(null!));
        Named("input", () => stab.nn.functional.layer_norm(null!, [3]));
        Named("input", () => stab.nn.functional.rms_norm(null!, [3]));
        Named("input", () => stab.nn.functional.group_norm(null!, 1));
        Named("normalized_shape", () => stab.nn.functional.layer_norm(ones(3), null!));
        Named("normalized_shape", () => stab.nn.LayerNorm((long[])null!));
        foreach (var module in new nn.Module<Tensor, Tensor>[]
        {
            stab.nn.BatchNorm1d(3), stab.nn.BatchNormReLU1d(3), stab.nn.BatchRenorm1d(3), stab.nn.InstanceNorm1d(3), stab.nn.LayerNorm(3), stab.nn.RMSNorm(3),
            stab.nn.GroupNorm(1, 3),
        })
        {
            using (module)
            {
                Named("input", () => module.forward(null!));
                Named("source", () => module.load_state_dict(null!));
                Named("reader", () => module.load((BinaryReader)null!));
            }
        }
        using var layer = stab.nn.LayerNorm(3);
        Named("mask", () => layer.forward(ones(3), null!));
        Named("input", () => layer.forward(null!, ones(3)));
        Assert.Throws<ArgumentException>("normalized_shape", () => stab.nn.functional.layer_norm(ones(3), []));
        Assert.Throws<ArgumentException>("normalized_shape", () => stab.nn.RMSNorm([]));
    }

    [Fact]
    public void Parameters_of_another_shape_or_dtype_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 3);
        Refused("Expected weight to be of same shape as normalized_shape, but got weight of shape [4] and normalized_shape = [3]", "weight",
            () => stab.nn.functional.layer_norm(x, [3], ones(4)));
        Refused("weight of shape [1, 3]", "weight", () => stab.nn.functional.layer_norm(x, [3], ones(1, 3)));
        Refused("Expected bias to be of same shape", "bias", () => stab.nn.functional.layer_norm(x, [3], ones(3), ones(2)));
        Refused("Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[4, 3]", "input",
            () => stab.nn.functional.layer_norm(x, [4]));
        Refused("got input of size[4, 3]", "input", () => stab.nn.functional.layer_norm(x, [1, 4, 3]));
        Refused("expected scalar type Float but found Double", "bias", () => stab.nn.functional.layer_norm(x, [3], ones(3), ones(3, ScalarType.Float64)));
        Refused("expect parameter to have scalar type of Float; bias is Float64", "bias",
            () => stab.nn.functional.layer_norm(x.bfloat16(), [3], ones(3), ones(3, ScalarType.Float64)));
        Refused("The input is Float64, the parameters are Float32", "input", () => stab.nn.functional.layer_norm(x.to(ScalarType.Float64), [3], ones(3)));
        Refused("weight is Float64", "weight", () => stab.nn.functional.layer_norm(x.bfloat16(), [3], ones(3, ScalarType.Float64)));
        Refused("bias is Float64", "bias", () => stab.nn.functional.layer_norm(x, [3], null, ones(3, ScalarType.Float64)));
        using var masked = stab.nn.LayerNorm(3);
        Refused("expected input with shape [*, 3]", "input", () => masked.forward(randn(4, 2), ones(1)));
        Refused("The input is Float64, the parameters are Float32", "input", () => masked.forward(x.to(ScalarType.Float64), ones(1)));
    }

    [Fact]
    public void Bounds_of_batch_renormalization_have_ends()
    {
        using var scope = NewDisposeScope();
        using var module = stab.nn.BatchRenorm1d(3, rmax: 1, dmax: 0);
        Assert.Throws<ArgumentOutOfRangeException>("rmax", () => module.rmax = 0.999);
        Assert.Throws<ArgumentOutOfRangeException>("dmax", () => module.dmax = -1e-9);
        Assert.Throws<ArgumentOutOfRangeException>("rmax", () => stab.nn.BatchRenorm1d(3, rmax: double.NaN));
        Assert.Equal((1.0, 0.0), (module.rmax, module.dmax));
        module.Schedule = _ => (0.5, 1);
        Assert.Contains("Schedule(0) gave rmax 0.5 and dmax 1.0", Assert.Throws<InvalidOperationException>(() => module.call(randn(4, 3))).Message,
            StringComparison.Ordinal);
        Assert.Equal(0, module.num_batches_tracked!.item<long>());
        module.Schedule = _ => (1, -1);
        Assert.Throws<InvalidOperationException>(() => module.call(randn(4, 3)));
        module.eval();
        module.call(randn(4, 3));
        Assert.EndsWith("rmax=1.0, dmax=0.0", module.extra_repr(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 1.0, 0.0)]
    [InlineData(5000, 1.0, 0.0)]
    [InlineData(15000, 1 + 2 * 10000 / 35000.0, 2.5)]
    [InlineData(25000, 1 + 2 * 20000 / 35000.0, 5.0)]
    [InlineData(40000, 3.0, 5.0)]
    [InlineData(90000, 3.0, 5.0)]
    public void The_papers_schedule_is_linear_between_its_ends(long step, double rmax, double dmax)
    {
        var bounds = TorchStab.Modules.BatchRenorm.PaperSchedule(step);
        Assert.Equal(rmax, bounds.rmax, 12);
        Assert.Equal(dmax, bounds.dmax, 12);
    }

    [Fact]
    public void Resetting_gives_the_start()
    {
        using var scope = NewDisposeScope();
        using var module = stab.nn.BatchNorm1d(3);
        var start = module.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
        NormModuleTests.Randomize(module);
        module.call(randn(5, 3));
        var weight = module.weight.detach().clone();
        module.reset_running_stats();
        foreach (string key in new[] { "running_mean", "running_var", "num_batches_tracked" }) Compare.Identical(start[key], module.state_dict()[key], key);
        Compare.Identical(weight, module.weight, "weight");
        module.call(randn(5, 3));
        module.reset_parameters();
        foreach (var (key, value) in start) Compare.Identical(value, module.state_dict()[key], key);
        using var none = stab.nn.BatchNorm1d(0);
        Assert.Equal([0L], none.weight.shape);
    }

    [Fact]
    public void A_cumulative_average_weighs_every_batch_alike()
    {
        using var scope = NewDisposeScope();
        using var module = stab.nn.BatchNorm1d(2, momentum: null, dtype: ScalarType.Float64);
        Tensor[] batches = [randn(4, 2, ScalarType.Float64), randn(5, 2, ScalarType.Float64), randn(6, 2, ScalarType.Float64)];
        foreach (var x in batches) module.call(x);
        Compare.Close(stack(batches.Select(x => x.mean([0]))).mean([0]), module.running_mean, "mean");
        Compare.Close(stack(batches.Select(x => x.var([0], unbiased: true))).mean([0]), module.running_var, "variance");
        Assert.Equal(3, module.num_batches_tracked!.item<long>());
    }

    private static void Named(string argument, Func<object> call) => Assert.Equal(argument, Assert.Throws<ArgumentNullException>(call).ParamName);
}
