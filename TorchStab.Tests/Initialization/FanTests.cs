using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class FanTests
{
    [Theory]
    [InlineData(new long[] { 8, 3, 5, 5 }, 1, false, 75, 200)] // Conv2d(3, 8, 5)
    [InlineData(new long[] { 8, 2, 3 }, 4, false, 6, 6)] // Conv1d(8, 8, 3, groups: 4)
    [InlineData(new long[] { 3, 8, 5, 5 }, 1, true, 75, 200)] // ConvTranspose2d(3, 8, 5)
    [InlineData(new long[] { 8, 3, 2, 2 }, 2, true, 16, 12)] // ConvTranspose2d(8, 6, 2, groups: 2)
    [InlineData(new long[] { 4, 7 }, 1, false, 7, 4)]
    public void Follow_the_layers_connections(long[] shape, long groups, bool transposed, long fanIn, long fanOut)
    {
        using var w = empty(shape);
        Assert.Equal((fanIn, fanOut), stab.nn.init.calculate_fan_in_and_fan_out(w, groups, transposed));
    }

    /// <summary>Counted by the layer itself: an output depends on fan_in inputs, an input reaches fan_out outputs (away from the border).</summary>
    [Theory, InlineData(1), InlineData(2)]
    public void Are_what_a_convolution_does(long groups)
    {
        using var scope = NewDisposeScope();
        using var forward = nn.Conv2d(4, 6, 3, groups: groups, bias: false);
        using var backward = nn.ConvTranspose2d(4, 6, 3, groups: groups, bias: false);
        foreach (var layer in new TorchSharp.Modules.Convolution[] { forward, backward })
        {
            var (fanIn, fanOut) = stab.nn.init.calculate_fan_in_and_fan_out(layer.weight!, groups, layer.transposed);
            stab.nn.init.ones_(layer.weight!);
            Assert.Equal(fanIn, layer.call(ones(1, 4, 9, 9))[0, 0, 4, 4].item<float>());
            var one = zeros(1, 4, 9, 9);
            one[0, 0, 4, 4] = 1;
            Assert.Equal(fanOut, layer.call(one).sum().item<float>());
        }
    }

    [Fact]
    public void Need_channels_divisible_by_groups()
    {
        using var w = empty(4, 2, 3);
        var error = Assert.Throws<ArgumentException>("groups", () => stab.nn.init.calculate_fan_in_and_fan_out(w, 3));
        Assert.Contains("dim 0 must be divisible by groups", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("groups", () => stab.nn.init.calculate_fan_in_and_fan_out(w, 0));
    }
}
