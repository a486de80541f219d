using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;
using Case = TorchStab.Tests.Kernels.RowNormKernelCase<TorchStab.Kernels.Yes>;

namespace TorchStab.Tests.Kernels;

/// <summary>The vector kernels against the scalar reference in double: every width, every element type, every tail.</summary>
public class LayerNormKernelTests
{
    private const double Eps = 1e-5;

    public static TheoryData<int, int> Instances => KernelInstances.All;

    [Theory]
    [MemberData(nameof(Instances))]
    public void Every_length_agrees_with_the_reference(int width, int element)
    {
        var random = new Random(1);
        foreach (int n in KernelInstances.Lengths) Check((VectorWidth)width, (Element)element, 9, n, _ => random.NextDouble() - 0.3, blockRows: 4);
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void Extremes_agree_with_the_reference(int width, int element)
    {
        var random = new Random(2);
        if (KernelInstances.IsHalf((Element)element)) return; // too few digits to hold them
        Check((VectorWidth)width, (Element)element, 5, 300, i => i % 300 == 0 ? 1e4 : random.NextDouble(), blockRows: 2); // an outlier comes first
        Check((VectorWidth)width, (Element)element, 5, 300, _ => 3, blockRows: 2); // nothing but the mean
        Check((VectorWidth)width, (Element)element, 2, 20_000, _ => random.NextDouble(), blockRows: 2); // more than one chunk of sums
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void A_large_mean_costs_no_digits(int width, int element)
    {
        if (KernelInstances.IsHalf((Element)element)) return;
        var random = new Random(3);
        foreach (int n in new[] { 40, 768, 1003 })
        {
            using var c = new Case((Element)element, 4, n, _ => 1e4 + (1e-2 * (random.NextDouble() + random.NextDouble() - 1)), 4);
            c.Run((VectorWidth)width, 0, blockRows: 4);
            double[] y = new double[4 * n];
            LayerNormReference.Forward(c.Input.ToArray(), c.Weight.ToArray(), c.Bias.ToArray(), 0, y);
            c.Output.AssertClose(y, Tolerance.LargeMean, $"n = {n}, output");
        }
    }

    [Fact]
    public void Streamed_stores_write_the_same()
    {
        var random = new Random(5);
        foreach (var width in KernelForm.Widths)
            foreach (int n in new[] { 256, 250 }) // rows of whole vectors, and rows that may not be streamed
                foreach (var element in Enum.GetValues<Element>())
                    Check(width, element, 6, n, _ => random.NextDouble(), blockRows: 4, stream: true);
    }

    private static void Check(VectorWidth width, Element element, int rows, int n, Func<int, double> input, int blockRows, bool stream = false)
    {
        using var c = new Case(element, rows, n, input, n);
        c.Run(width, Eps, blockRows, stream);
        double[] x = c.Input.ToArray(), weight = c.Weight.ToArray(), dy = c.Gradient.ToArray();
        double[] y = new double[rows * n], dx = new double[rows * n], dweight = new double[n], dbias = new double[n];
        LayerNormReference.Forward(x, weight, c.Bias.ToArray(), Eps, y);
        LayerNormReference.Backward(x, dy, weight, Eps, dx, dweight, dbias);
        double tolerance = KernelInstances.Tolerance(element);
        c.Output.AssertClose(y, tolerance, $"n = {n}, output");
        c.InputGradient.AssertClose(dx, tolerance * KernelInstances.Steepness(x, n, Eps, centre: true), $"n = {n}, input gradient");
        c.WeightGradient.AssertClose(dweight, tolerance, $"n = {n}, weight gradient");
        c.BiasGradient.AssertClose(dbias, tolerance, $"n = {n}, bias gradient");
    }
}
