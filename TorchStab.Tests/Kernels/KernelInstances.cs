using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>What kernels are instantiated for and tried at.</summary>
internal static class KernelInstances
{
    /// <summary>Every width of this machine with every element type, as numbers.</summary>
    public static TheoryData<int, int> All
    {
        get
        {
            var data = new TheoryData<int, int>();
            foreach (var width in KernelForm.Widths)
                foreach (var element in Enum.GetValues<Element>()) data.Add((int)width, (int)element);
            return data;
        }
    }

    /// <summary>The type of the arithmetic, of the parameters and of their gradients.</summary>
    public static Element Arithmetic(Element element) => element == Element.Float64 ? Element.Float64 : Element.Float32;

    /// <summary>Whether the type has too few digits for a large mean or an outlier.</summary>
    public static bool IsHalf(Element element) => element is Element.BFloat16 or Element.Float16;

    /// <summary>
    /// Every tail of the widest vector behind up to four of them, which is as far as loops are unrolled, the ends of longer runs, and lengths on both sides
    /// of the kernels' thresholds.
    /// </summary>
    public static IEnumerable<int> Lengths =>
        [.. Enumerable.Range(1, 70), .. Around(96), .. Around(128), .. Around(192), .. Around(256), 771, 2047, 2048, 2051];

    private static IEnumerable<int> Around(int length) => Enumerable.Range(length - 1, 3);

    public static double Tolerance(Element element) => element switch
    {
        Element.Float64 => Support.Tolerance.KernelFloat64,
        Element.Float32 => Support.Tolerance.KernelFloat32,
        Element.Float16 => Support.Tolerance.Float16,
        _ => Support.Tolerance.BFloat16,
    };

    /// <summary>
    /// The largest 1/√(var + eps) of a row, at least 1: the terms of the input's gradient are as large, and in short rows they cancel.
    /// </summary>
    public static double Steepness(double[] x, int n, double eps, bool centre) => x.Chunk(n).Max(row =>
    {
        double mean = centre ? row.Average() : 0;
        return Math.Max(1, 1 / Math.Sqrt(row.Average(v => (v - mean) * (v - mean)) + eps));
    });
}
