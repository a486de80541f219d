using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Masked statistics, which PyTorch lacks: against the definition in double, and by equivalence with the unpadded rows.</summary>
public class LayerNormMaskTests
{
    [Fact]
    public void Padding_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var norm = stab.nn.LayerNorm(6, elementwise_affine: false);
        var rows = randn(3, 4, ScalarType.Float64);
        var upstream = randn(3, 4, ScalarType.Float64);
        Tensor alone = rows.clone().requires_grad_(true), padded = cat([rows, full(3, 2, 1e6, ScalarType.Float64)], 1).requires_grad_(true);
        var mask = tensor(new[] { true, true, true, true, false, false });
        using var four = stab.nn.LayerNorm(4, elementwise_affine: false);
        var expected = four.call(alone);
        var actual = norm.forward(padded, mask).narrow(1, 0, 4);
        Compare.Close(expected, actual, "output");
        expected.backward([upstream]);
        actual.backward([upstream]);
        Compare.Close(alone.grad, padded.grad!.narrow(1, 0, 4), "gradient");
        Compare.Identical(zeros(3, 2, ScalarType.Float64), padded.grad!.narrow(1, 4, 2), "gradient of padding");
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void A_mask_of_ones_is_no_mask(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var norm = stab.nn.LayerNorm([3, 5], dtype: dtype);
        var x = randn(2, 3, 5).to(dtype);
        Compare.Close(norm.call(x), norm.forward(x, ones(2, 3, 5, ScalarType.Bool)), "output");
        Compare.Close(norm.call(x), norm.forward(x, ones(1, ScalarType.Float32)), "one for all");
        Assert.Equal(dtype, norm.forward(x, ones(1)).dtype);
    }

    [Fact]
    public void Weights_count_after_broadcasting_and_follow_the_definition()
    {
        using var scope = NewDisposeScope();
        using var norm = stab.nn.LayerNorm([3, 2], eps: 1e-3, dtype: ScalarType.Float64);
        using (no_grad())
            foreach (var p in norm.parameters()) p.normal_();
        var x = randn(4, 3, 2, ScalarType.Float64) + 100;
        var mask = tensor(new[] { 0.5, 0, 2 }).unsqueeze(-1); // for both of the last dimension
        var m = mask.expand(4, 3, 2);
        var mean = (x * m).sum([1, 2], keepdim: true) / 5;
        var variance = ((x - mean).square() * m).sum([1, 2], keepdim: true) / 5;
        Compare.Close((x - mean) / (variance + 1e-3).sqrt() * norm.weight + norm.bias!, norm.forward(x, mask), "output");
    }

    [Fact]
    public void An_absent_row_has_mean_and_variance_0_and_absent_values_that_are_no_numbers_stay_where_they_are()
    {
        using var scope = NewDisposeScope();
        using var norm = stab.nn.LayerNorm(3, eps: 1, elementwise_affine: false);
        Tensor x = tensor(new float[,] { { 1, 2, 3 }, { 1, 3, 0 } }), mask = tensor(new[,] { { false, false, false }, { true, true, false } });
        x[1, 2] = double.NaN;
        x.requires_grad_(true);
        var y = norm.forward(x, mask);
        Compare.Close(tensor(new float[] { 1, 2, 3 }), y[0], "a row with nothing");
        y.narrow(1, 0, 2).backward([ones(2, 2)]);
        Assert.True(x.grad!.isfinite().all().item<bool>());
    }

    [Fact]
    public void A_mask_that_does_not_broadcast_is_refused()
    {
        using var scope = NewDisposeScope();
        using var norm = stab.nn.LayerNorm(3);
        var e = Assert.Throws<ArgumentException>(() => norm.forward(ones(2, 3), ones(2)));
        Assert.Contains("mask of shape [2] does not broadcast to the input's shape [2, 3]", e.Message, StringComparison.Ordinal);
        Assert.Equal("mask", e.ParamName);
        Assert.Throws<ArgumentException>(() => norm.forward(ones(2, 3), ones(1, 2, 3)));
    }

    [Fact]
    public void Second_derivatives_are_right()
    {
        using var scope = NewDisposeScope();
        var mask = tensor(new[] { true, false, true, true, true });
        NormArguments.Of(randn(3, 5, ScalarType.Float64), randn(5, ScalarType.Float64)).Compare((x, _, _, w, _) =>
        {
            var part = x.index_select(1, tensor(new long[] { 0, 2, 3, 4 }));
            var mean = part.mean([1], keepdim: true);
            return (x - mean) / ((part - mean).square().mean([1], keepdim: true) + 1e-5).sqrt() * w!;
        }, (x, _, _, w, _) =>
        {
            using var norm = stab.nn.LayerNorm(5, elementwise_affine: false, dtype: ScalarType.Float64);
            return norm.forward(x, mask) * w!;
        }, "mask", second: true);
    }
}
