using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>The three forms of the vector kernels against the scalar reference in double: every width, every element type, every tail.</summary>
public class BatchNormKernelTests
{
    public static TheoryData<int, int> Instances => KernelInstances.All;

    [Theory]
    [MemberData(nameof(Instances))]
    public void Planes_agree_with_the_reference(int width, int element)
    {
        foreach (int n in KernelInstances.Lengths.Where(n => n > 1)) Check<No>(ChannelForm.Planes, (VectorWidth)width, (Element)element, (3, 2, n));
        Check<No>(ChannelForm.Planes, (VectorWidth)width, (Element)element, (2, 2, 12_345));
        foreach (int n in new[] { 5, 49, 196, 257 }) Check<Yes>(ChannelForm.Planes, (VectorWidth)width, (Element)element, (3, 2, n));
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void Tiles_agree_with_the_reference(int width, int element)
    {
        foreach (int n in (int[])[.. Enumerable.Range(2, 33), 47, 48, 49, 63, 64])
        {
            Check<No>(ChannelForm.Tiles, (VectorWidth)width, (Element)element, (9, 40, n));
            Check<Yes>(ChannelForm.Tiles, (VectorWidth)width, (Element)element, (8, 3, n));
        }
        Check<No>(ChannelForm.Tiles, (VectorWidth)width, (Element)element, (300, 5, 4));
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void Rows_agree_with_the_reference(int width, int element)
    {
        foreach (int channels in (int[])[.. Enumerable.Range(1, 34), 47, 48, 49, 63, 64, 65, 70])
        {
            Check<No>(ChannelForm.Rows, (VectorWidth)width, (Element)element, (11, channels, 1));
            Check<Yes>(ChannelForm.Rows, (VectorWidth)width, (Element)element, (5, channels, 9));
        }
        Check<No>(ChannelForm.Rows, (VectorWidth)width, (Element)element, (700, 37, 2));
        Check<No>(ChannelForm.Rows, (VectorWidth)width, (Element)element, (20, 1500, 3));
    }

    [Fact]
    public void A_large_mean_costs_no_digits_in_any_form()
    {
        var random = new Random(3);
        foreach (var width in KernelForm.Widths)
        {
            foreach (var (form, shape) in new[] { (ChannelForm.Planes, (4, 2, 196)), (ChannelForm.Tiles, (16, 5, 49)), (ChannelForm.Rows, (300, 21, 2)) })
            {
                using var c = new BatchNormKernelCase<No>(form, Element.Float32, shape, _ => 1e4 + (1e-2 * (random.NextDouble() + random.NextDouble() - 1)));
                c.Forward(width, 0, given: false);
                c.Output.AssertClose(c.Expected(0).Output, Tolerance.LargeMean, $"{form}");
            }
        }
    }

    [Fact]
    public void An_outlier_and_a_constant_channel_are_measured_exactly()
    {
        foreach (var width in KernelForm.Widths)
        {
            foreach (var form in Enum.GetValues<ChannelForm>())
            {
                var random = new Random(4);
                Check<No>(form, width, Element.Float32, (16, 6, 9), i => i < 9 ? 1e4 : random.NextDouble());
                Check<No>(form, width, Element.Float32, (16, 6, 9), _ => 3);
            }
        }
    }

    private static void Check<Relu>(ChannelForm form, VectorWidth width, Element element, (int, int, int) shape, Func<int, double>? input = null)
        where Relu : struct, IFlag
    {
        var random = new Random(7);
        foreach (bool given in new[] { false, true })
        {
            using var c = new BatchNormKernelCase<Relu>(form, element, shape, input ?? (_ => random.NextDouble() - 0.3));
            const double Eps = 1e-3;
            c.Forward(width, Eps, given);
            c.Backward(width, given);
            var expected = c.Expected(Eps, given);
            double tolerance = KernelInstances.Tolerance(element);
            string what = $"{form} {shape} {(given ? "given" : "measured")}";
            c.Output.AssertClose(expected.Output, tolerance, $"{what}, output");
            c.InputGradient.AssertClose(expected.InputGradient, tolerance * expected.Steepness, $"{what}, input gradient");
            double sums = Math.Sqrt((double)shape.Item1 * shape.Item3); // as large as the terms' sum may become before it cancels
            c.WeightGradient.AssertClose(expected.WeightGradient, tolerance * sums, $"{what}, weight gradient");
            c.BiasGradient.AssertClose(expected.BiasGradient, tolerance * sums, $"{what}, bias gradient");
        }
    }
}
