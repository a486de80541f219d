using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class OrthogonalTests
{
    public static TheoryData<long[]> Shapes => [[64, 64], [128, 32], [32, 128], [1, 7], [7, 1], [16, 3, 5, 5], [200, 8, 3], [600, 600]];

    [Theory, MemberData(nameof(Shapes))]
    public void Rows_or_columns_are_orthonormal(long[] shape)
    {
        manual_seed(5);
        Assert.InRange(Deviation(shape, ScalarType.Float32, 1), 0, Tolerance.Orthogonality32);
        Assert.InRange(Deviation(shape, ScalarType.Float64, 1), 0, Tolerance.Orthogonality64);
    }

    [Fact]
    public void Gain_scales_the_matrix()
    {
        manual_seed(6);
        Assert.InRange(Deviation([40, 30], ScalarType.Float64, 2.5), 0, Tolerance.Orthogonality64);
    }

    /// <summary>The largest |W·Wᵀ/gain² − I| of the smaller side.</summary>
    private static double Deviation(long[] shape, ScalarType dtype, double gain)
    {
        using var scope = NewDisposeScope();
        var w = stab.nn.init.orthogonal_(empty(shape, dtype), gain).flatten(1);
        var product = w.size(0) <= w.size(1) ? w.mm(w.t()) : w.t().mm(w);
        return (product / (gain * gain) - eye(product.size(0), dtype: dtype)).abs().max().to(ScalarType.Float64).item<double>();
    }

    /// <summary>With the signs fixed the first entry is as often positive as negative; plain QR makes the diagonal of R one-signed.</summary>
    [Fact]
    public void Signs_are_even()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        int positive = Enumerable.Range(0, 400).Count(_ => stab.nn.init.orthogonal_(empty(3, 3))[0, 0].item<float>() > 0);
        Assert.InRange(positive, 160, 240);
    }

    [Theory, InlineData(ScalarType.BFloat16), InlineData(ScalarType.Float16)]
    public void Half_types_round_a_float32_matrix(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var one = new Generator(3);
        using var two = new Generator(3);
        var half = stab.nn.init.orthogonal_(empty(20, 12, dtype), generator: one);
        Compare.Identical(stab.nn.init.orthogonal_(empty(20, 12), generator: two).to(dtype), half, "rounded");
    }

    [Fact]
    public void Any_layout_holds_the_same_matrix()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        var plain = stab.nn.init.orthogonal_(empty(8, 4, 3, 3));
        manual_seed(8);
        var last = stab.nn.init.orthogonal_(empty(8, 3, 3, 4).permute(0, 3, 1, 2));
        Compare.Identical(plain, last, "channels_last");
        manual_seed(8);
        Compare.Identical(plain.flatten(1), stab.nn.init.orthogonal_(empty(36, 8).t()), "transposed");
    }
}
