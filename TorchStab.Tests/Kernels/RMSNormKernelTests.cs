using TorchStab.Dispatch;
using TorchStab.Kernels;
using Case = TorchStab.Tests.Kernels.RowNormKernelCase<TorchStab.Kernels.No>;

namespace TorchStab.Tests.Kernels;

/// <summary>The vector kernels against the scalar reference in double: every width, every element type, every tail.</summary>
public class RMSNormKernelTests
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
        Check((VectorWidth)width, (Element)element, 5, 300, _ => 0, blockRows: 2); // nothing but eps
        Check((VectorWidth)width, (Element)element, 2, 20_000, _ => random.NextDouble(), blockRows: 2); // more than one chunk of sums
    }

    private static void Check(VectorWidth width, Element element, int rows, int n, Func<int, double> input, int blockRows, bool stream = false)
    {
        using var c = new Case(element, rows, n, input, n);
        c.Run(width, Eps, blockRows, stream);
        double[] x = c.Input.ToArray(), weight = c.Weight.ToArray(), dy = c.Gradient.ToArray();
        double[] y = new double[rows * n], dx = new double[rows * n], dweight = new double[n];
        RMSNormReference.Forward(x, weight, Eps, y);
        RMSNormReference.Backward(x, dy, weight, Eps, dx, dweight);
        double tolerance = KernelInstances.Tolerance(element);
        c.Output.AssertClose(y, tolerance, $"n = {n}, output");
        c.InputGradient.AssertClose(dx, tolerance * KernelInstances.Steepness(x, n, Eps, centre: false), $"n = {n}, input gradient");
        c.WeightGradient.AssertClose(dweight, tolerance, $"n = {n}, weight gradient");
    }
}
