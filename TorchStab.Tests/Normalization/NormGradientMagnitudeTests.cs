using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Normalization.NormMagnitudeTests;

namespace TorchStab.Tests.Normalization;

/// <summary>
/// Gradients where input and output gradient are so large or so small that their products leave the range of the dtype. Gradients do not depend on the
/// scales: x · 2ᵏ and g · 2ᵐ give dx · 2ᵐ⁻ᵏ, dweight · 2ᵐ and dbias · 2ᵐ, held against the formula in float64 on values of magnitude 1.
/// </summary>
public class NormGradientMagnitudeTests
{
    // Powers of two of x and of g. In eval mode the square of x' deviation is a running variance and stays in float32.
    private static readonly (ScalarType Dtype, int[] Inputs, int[] Gradients)[] Magnitudes =
    [
        (ScalarType.Float32, [-62, -27, 0, 12, 36, 62, 120], [-100, 0, 62, 125]),
        (ScalarType.BFloat16, [-62, 0, 62, 120], [-100, 0, 62, 119]),
        (ScalarType.Float64, [-510, -290, 0, 290, 664], [-664, 0, 664, 990]),
        (ScalarType.Float16, [-6, 12], [-8, 11]),
    ];

    private static readonly string[] Evaluated = ["batch of planes", "batch of tiles", "batch of vectors", "batch of channels last", "batch with relu"];

    public static TheoryData<string, bool> Cases
    {
        get
        {
            TheoryData<string, bool> cases = [];
            foreach (string name in Ops.Keys) cases.Add(name, false);
            foreach (string name in Evaluated) cases.Add(name, true);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Kernels_give_the_gradients_that_the_dtype_holds(string name, bool given)
    {
        foreach (var width in new[] { KernelForm.Widths.First(), KernelForm.Widths.Last() })
        {
            using var form = KernelForm.Kernel(width: width);
            foreach (var (dtype, inputs, gradients) in Magnitudes)
                foreach (int power in inputs)
                    foreach (int gradient in gradients.Where(g => !name.StartsWith("masked", StringComparison.Ordinal) || IsAddedUp(g, dtype)))
                        Hold(name, dtype, power, gradient, given, $"{name}{(given ? " in eval" : "")}, {width}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tensor_operations_give_them_but_for_the_largest(string name, bool given)
    {
        using var form = KernelForm.TensorOps();
        foreach (var (dtype, inputs, gradients) in Magnitudes)
            foreach (int power in inputs)
                foreach (int gradient in gradients.Where(g => IsAddedUp(g, dtype)))
                    Hold(name, dtype, power, gradient, given, $"{name}{(given ? " in eval" : "")}");
    }

    [Fact]
    public void Given_statistics_and_weights_of_any_size_give_what_the_dtype_holds()
    {
        using var scope = NewDisposeScope();
        foreach (long[] shape in new long[][] { [4, 3], [9, 3, 2, 2], [2, 3, 9, 9] })
        {
            foreach (var (x, mean, variance, weight) in new[] { (3e38, -3e38, 1e38, 1.0), (3e38, -3e38, 1e38, 1e-20), (1e-20, 0, 1e-30, 1e30),
                (1e25, 0, 1e38, 1e-25), (-3e38, 2e38, 1e36, 1e-10) })
            {
                Tensor input = full(shape, x, ScalarType.Float32).requires_grad_(), w = full(3, weight, ScalarType.Float32).requires_grad_();
                Tensor At(double value) => full(3, value, ScalarType.Float32);
                var y = stab.nn.functional.batch_norm(input, At(mean), At(variance), w, At(0), eps: 0);
                double standardized = ((double)(float)x - (float)mean) / Math.Sqrt((float)variance), expected = standardized * (float)weight;
                Compare.Close(ones_like(y), y / (float)expected, $"{x}, {mean}, {variance}, {weight}");
                double slope = (float)weight / Math.Sqrt((float)variance), g = 1 / Math.Clamp(slope, 1e-15, 1e15);
                var gradients = autograd.grad([y], [input, w], [full_like(y.detach(), g)]);
                Compare.Close(ones_like(input), gradients[0] / ((float)g * slope), "dx");
                Compare.Close(ones(3), gradients[1] / (float)((float)g * standardized * (input.numel() / 3)),
                    $"dweight of {x}, {mean}, {variance}, {weight}, [{string.Join(", ", shape)}]");
            }
        }
    }

    // Autograd adds up products of gradients in float32: from 2¹⁰⁰ on they may overflow. So it is with masks, which have no kernel.
    private static bool IsAddedUp(int power, ScalarType dtype) => power < (dtype == ScalarType.Float64 ? 900 : 100);

    private static void Hold(string name, ScalarType dtype, int power, int gradientPower, bool given, string what)
    {
        var op = Ops[name];
        using var scope = NewDisposeScope();
        manual_seed(12);
        if (given && 2 * power > MostPower(dtype)) return; // no running variance holds it
        Tensor[] inputs = [Scaled(op.Shape, power, dtype, op), Scaled(op.Affine, 0, dtype), Scaled(op.Affine, 0, dtype)];
        var g = Scaled(op.Shape, gradientPower, dtype).detach();
        Tensor[] exact = [.. inputs.Select((t, i) => ldexp(t, i == 0 ? -power : 0).requires_grad_())];
        var (y, expected) = given ? Given(op, inputs, exact, power, dtype) : (op.Apply(inputs[0], inputs[1], inputs[2], 0), Formula(op, exact, 0));
        var actual = autograd.grad([y], inputs, [g]);
        var wanted = autograd.grad([expected], exact, [ldexp(g, -gradientPower)]);
        string of = $"{what}, {dtype}, x · 2^{power}, g · 2^{gradientPower}";
        foreach (var (i, result) in new[] { "dx", "dweight", "dbias" }.Index())
        {
            int by = gradientPower - (i == 0 ? power : 0);
            var rounded = Raise(wanted[i], by).to(dtype);
            if (!rounded.isfinite().all().item<bool>() || by < (dtype == ScalarType.Float64 ? -1000 : dtype == ScalarType.Float16 ? -14 : -110)) continue;
            Compare.Close(Raise(rounded, -by), Raise(actual[i], -by), $"{of}: {result}", 4 * Tolerance.Of(dtype));
        }
    }

    private static int MostPower(ScalarType dtype) => dtype == ScalarType.Float64 ? 1020 : dtype == ScalarType.Float16 ? 14 : 125;

    private static (Tensor Actual, Tensor Expected) Given(Op op, Tensor[] inputs, Tensor[] exact, int power, ScalarType dtype)
    {
        long channels = op.Shape[1];
        Tensor mean = randn(channels, ScalarType.Float64).to(dtype), variance = (rand(channels, ScalarType.Float64) + 0.5).to(dtype);
        var running = new RunningStatistics(ldexp(mean, power, dtype), ldexp(variance, 2 * power, dtype));
        var y = BatchNormFunctional.Apply(new(inputs[0], running, inputs[1], inputs[2], 0, Training: false) { Relu = op.Relu });
        long[] view = [1, channels, .. op.Shape[2..].Select(_ => 1L)];
        Tensor Spread(Tensor t) => t.to(ScalarType.Float64).view(view);
        var expected = ((exact[0] - Spread(mean)) / Spread(variance).sqrt() * Spread(exact[1])) + Spread(exact[2]);
        return (y, op.Relu ? expected.relu() : expected);
    }

    private static Tensor Scaled(long[] shape, int power, ScalarType dtype, Op? op = null) =>
        Like(Raise(randn(shape, ScalarType.Float64).to(dtype).to(ScalarType.Float64) * 0.5, power), dtype, op);

    private static Tensor ldexp(Tensor t, int power, ScalarType dtype = ScalarType.Float64) => Raise(t.detach(), power).to(dtype);

    // In halves: 2^power alone may be beyond float64.
    private static Tensor Raise(Tensor t, int power) => t.detach().to(ScalarType.Float64) * Math.ScaleB(1, power / 2) * Math.ScaleB(1, power - (power / 2));
}
