using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class DeltaOrthogonalTests
{
    [Theory, InlineData(3, 1), InlineData(3, 2), InlineData(5, 2), InlineData(3, 3)]
    public void Padded_convolution_keeps_the_norm(int kernel, int spatial)
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        var size = Enumerable.Repeat((long)kernel, spatial).ToArray();
        var w = stab.nn.init.delta_orthogonal_(full([12, 5, .. size], double.NaN, ScalarType.Float64), gain: 3);
        var x = randn([2, 5, .. Enumerable.Repeat(6L, spatial)], ScalarType.Float64);
        var padding = Enumerable.Repeat(kernel / 2L, spatial).ToArray();
        var y = spatial switch
        {
            1 => nn.functional.conv1d(x, w, padding: padding[0]),
            2 => nn.functional.conv2d(x, w, padding: padding),
            _ => nn.functional.conv3d(x, w, padding: padding),
        };
        Compare.Close(x.norm() * 3, y.norm(), "norm", Tolerance.Orthogonality64);
    }

    [Fact]
    public void Kernel_of_even_size_has_its_matrix_where_JAX_puts_it()
    {
        using var scope = NewDisposeScope();
        var w = stab.nn.init.delta_orthogonal_(empty(4, 4, 4));
        Assert.Equal([1L], w.abs().sum([0L, 1L]).nonzero().flatten().data<long>());
    }

    [Fact]
    public void More_inputs_than_outputs_is_an_error_that_leaves_the_tensor()
    {
        using var w = full([2, 3, 3], 7.0);
        var error = Assert.Throws<ArgumentException>("tensor", () => stab.nn.init.delta_orthogonal_(w));
        Assert.Contains("`fan_in` must be less or equal than `fan_out`", error.Message, StringComparison.Ordinal);
        Assert.True(w.eq(7).all().item<bool>());
    }
}
