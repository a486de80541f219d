using TorchStab.Clipping;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Norms of values whose powers overflow or vanish: ‖s·t‖ = s·‖t‖ for every order and size of s.</summary>
public class NormRangeTests
{
    public static TheoryData<double> Orders => [1.0, 2.0, 3.0, 4.0, 30.0, 0.5, -1.0, -3.0, double.PositiveInfinity, double.NegativeInfinity];

    private static readonly (ScalarType Dtype, int[] Powers)[] Scales =
    [
        (ScalarType.Float32, [0, -40, -43, -80, -120, 40, 100, 120]), (ScalarType.BFloat16, [0, -40, -100, 100]), (ScalarType.Float16, [0, -8, 8]),
        (ScalarType.Float64, [0, -40, -350, -520, -600, -900, 350, 700, 1000]),
    ];

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_norm_scales_with_its_tensor(double order)
    {
        foreach (var form in new Func<KernelForm>[] { () => KernelForm.Kernel(), KernelForm.TensorOps })
        {
            using (form())
            {
                foreach (var (dtype, powers) in Scales)
                {
                    using var scope = NewDisposeScope();
                    manual_seed(7);
                    var values = (randn(5, 13, ScalarType.Float64).sign() * (rand(5, 13, ScalarType.Float64) + 0.5)).to(dtype).to(ScalarType.Float64);
                    double expected = linalg.vector_norm(values, order).item<double>(),
                        both = linalg.vector_norm(stack([values, values]), order).item<double>();
                    foreach (int power in powers)
                    {
                        double scale = Math.ScaleB(1, power);
                        var scaled = (values * scale).to(dtype);
                        string what = $"order {order}, {dtype}, 2^{power}";
                        Near(expected, GradientNorms.Of([scaled], order)[0] / scale, what);
                        Near(both, stab.nn.utils.get_total_norm([scaled, scaled.t()], order) / scale, $"{what}, total");
                        // Beside others, of which some are zero, empty or not finite.
                        var among = GradientNorms.Of([zeros(3, dtype), scaled, zeros(0, dtype), full(2, double.NaN, dtype), scaled,
                            full(2, double.PositiveInfinity, dtype)], order);
                        Near(expected, among[1] / scale, $"{what}, among others");
                        Near(expected, among[4] / scale, $"{what}, among others");
                        Assert.Equal(0, among[0]);
                        Assert.True(double.IsNaN(among[3]), what);
                        Assert.Equal(double.PositiveInfinity, among[5]);
                    }
                }
            }
        }

        static void Near(double expected, double actual, string what) =>
            Assert.True(Math.Abs(actual - expected) <= Tolerance.Float32 * expected, $"{what}: {actual}, expected {expected}");
    }

    [Theory]
    [InlineData(2.0)]
    [InlineData(3.0)]
    [InlineData(30.0)]
    public void Tiny_gradients_are_clipped_to_a_tiny_bound(double order)
    {
        using var scope = NewDisposeScope();
        foreach (var (dtype, size) in new[] { (ScalarType.Float32, 1e-12), (ScalarType.Float64, 1e-200) })
        {
            var p = Make.Parameter(full(9, size, dtype));
            double norm = stab.nn.utils.clip_grad_norm_([p], 1e-3, order);
            Assert.Equal(Math.Pow(9, 1 / order), norm / size, Tolerance.Float32 * 9);
        }
    }

    [Fact]
    public void Norms_of_tiny_tensors_add_up()
    {
        foreach (double order in new[] { 2, 3, 30, 0.5 })
            Assert.Equal(Math.Pow(2, 1 / order), GradientNorms.Total([1e-200, 1e-200], order) / 1e-200, Tolerance.Float64);
        Assert.Equal(0, GradientNorms.Total([0, 0], 3));
        Assert.True(double.IsNaN(GradientNorms.Total([1e-200, double.NaN], 3)));
        Assert.Equal(double.PositiveInfinity, GradientNorms.Total([1e-200, double.PositiveInfinity], 3));
        Assert.Equal(0, GradientNorms.Total([0, 1e-200], -1));
    }
}
