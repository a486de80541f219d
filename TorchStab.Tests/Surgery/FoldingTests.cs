using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

public class FoldingTests
{
    public static TheoryData<string> Cases => GoldenSuite.Ids("fuse");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_PyTorch(string label)
    {
        var c = GoldenSuite.Find("fuse", label);
        using var scope = NewDisposeScope();
        using var layer = FoldingSamples.Layer(c);
        using var norm = FoldingSamples.Norm(c, layer);
        if (c.ExpectsError)
        {
            (c.Params.GetProperty("training").GetString() == "bn" ? norm : (nn.Module)layer).train();
            var error = Assert.Throws<InvalidOperationException>(() => FoldingSamples.Fuse(layer, norm));
            Assert.Contains(c.ErrorMessage, error.Message);
            return;
        }
        using var fused = FoldingSamples.Fuse(layer, norm);
        Assert.IsType(layer.GetType(), fused);
        c.Check("output", norm.call(layer.call(c["input"])));
        c.Check(c.Has("fused_output") ? "fused_output" : "output", fused.call(c["input"]));
        if (c.Has("fused_weight")) c.Check("fused_weight", fused.get_parameter("weight"));
        if (c.Has("fused_bias")) c.Check("fused_bias", fused.get_parameter("bias"));
    }

    public static TheoryData<string> Settings => [.. FoldingSamples.Settings.Keys];

    [Theory]
    [MemberData(nameof(Settings))]
    public void Keeps_output_and_originals_for_every_setting(string setting)
    {
        foreach (var dtype in (ScalarType[])[ScalarType.Float64, ScalarType.Float32])
            foreach (bool affine in (bool[])[true, false])
            {
                using var scope = NewDisposeScope();
                manual_seed(7);
                var (layer, channels, input) = FoldingSamples.Settings[setting](dtype);
                using var norm = FoldingSamples.RandomNorm(layer, channels, affine, dtype);
                layer.eval();
                var before = FoldingSamples.Snapshot(layer, norm);
                var expected = norm.call(layer.call(input));
                using var fused = FoldingSamples.Fuse(layer, norm);
                Compare.Close(expected, fused.call(input), $"{setting} {dtype}", Tolerance.Folded(dtype));
                foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "the originals");
                layer.Dispose();
            }
    }

    [Fact]
    public void Result_is_leaf_parameters_that_train()
    {
        using var scope = NewDisposeScope();
        using var conv = nn.Conv2d(2, 3, 3, bias: false);
        using var norm = nn.BatchNorm2d(3);
        conv.eval();
        norm.eval();
        using var fused = stab.nn.utils.fuse_conv_bn_eval(conv, norm);
        Assert.False(fused.training);
        Assert.Equal(["weight", "bias"], fused.named_parameters().Select(p => p.name));
        Assert.All(fused.parameters(), p => Assert.True(p.is_leaf && p.requires_grad));
        (fused.call(randn(1, 2, 5, 5)) * randn(1, 3, 3, 3)).sum().backward();
        using var sgd = optim.SGD(fused.parameters(), 0.1);
        var before = fused.weight.clone();
        sgd.step();
        Assert.False(before.allclose(fused.weight));
        conv.weight.requires_grad = false;
        using var frozen = stab.nn.utils.fuse_conv_bn_eval(conv, norm);
        Assert.All(frozen.parameters(), p => Assert.False(p.requires_grad));
    }

    [Fact]
    public void Draws_nothing_from_the_random_stream()
    {
        using var scope = NewDisposeScope();
        using var conv = nn.Conv2d(2, 3, 3);
        using var norm = nn.BatchNorm2d(3);
        conv.eval();
        norm.eval();
        manual_seed(5);
        var expected = rand(4);
        manual_seed(5);
        stab.nn.utils.fuse_conv_bn_eval(conv, norm).Dispose();
        Compare.Identical(expected, rand(4), "the next draw");
    }

    [Fact]
    public void Refuses_what_can_not_be_folded()
    {
        using var scope = NewDisposeScope();
        using var conv = nn.Conv2d(2, 3, 3);
        using var linear = nn.Linear(2, 3);
        using var wrong = nn.BatchNorm2d(4);
        using var stateless = nn.BatchNorm2d(3, track_running_stats: false);
        using var relu = nn.ReLU();
        using var gone = nn.BatchNorm2d(3);
        gone.Dispose();
        foreach (var m in (nn.Module[])[conv, linear, wrong, stateless, relu]) m.eval();
        Assert.Equal("bn", Assert.Throws<ArgumentException>(() => stab.nn.utils.fuse_conv_bn_eval(conv, wrong)).ParamName);
        Assert.Contains("To fuse, linear.out_features == bn.num_features or bn.num_features == 1",
            Assert.Throws<ArgumentException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, wrong)).Message);
        Assert.Equal("bn", Assert.Throws<ArgumentException>(() => stab.nn.utils.fuse_conv_bn_eval(conv, stateless)).ParamName);
        Assert.Equal("bn", Assert.Throws<ArgumentException>(() => stab.nn.utils.fuse_conv_bn_eval(conv, relu)).ParamName);
        Assert.Equal("conv", Assert.Throws<ArgumentException>(() => stab.nn.utils.fuse_conv_bn_eval<nn.Module<Tensor, Tensor>>(relu, wrong)).ParamName);
        Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.fuse_conv_bn_eval(conv, gone));
        Assert.Throws<ArgumentNullException>(() => stab.nn.utils.fuse_conv_bn_eval<Conv2d>(null!, wrong));
        Assert.Throws<ArgumentNullException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, null!));
    }

    [Fact]
    public void Leaves_no_tensors()
    {
        using var conv = nn.ConvTranspose2d(4, 6, 3, groups: 2);
        using var norm = nn.BatchNorm2d(6);
        conv.eval();
        norm.eval();
        LiveTensors.AssertNoneLeft(() => stab.nn.utils.fuse_conv_bn_eval(conv, norm).Dispose(), parameters: 3);
    }
}
