using System.Numerics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class GlobalNormKernelTests : EveryWidthTests
{
    internal override void EveryStorage<VF, VD>()
    {
        foreach (int n in KernelData.Lengths)
        {
            Equal<VD, double, Plain<double>, Plain<double>>(n, 1e150);
            Equal<VD, float, Plain<float>, Widened>(n, 1e37);
            Equal<VD, float, HalfWidth<float>, HalfWidth<double>>(n, 1e37);
        }
    }

    // Written through SW as T, read by the kernel through S as double.
    private static void Equal<V, T, SW, S>(int n, double huge)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where SW : IStorage<T> where S : IStorage<double>
    {
        var random = new Random(n);
        foreach (double scale in new[] { 1, 1e-30, huge })
        {
            using var x = new KernelData<T, SW>(KernelData.Normal(random, n, scale));
            Same(GlobalNormKernel.Reference.SumOfSquares(x.Values), GlobalNormKernel.SumOfSquares<V, S>(x.Pointer, 0, n));
            Same(GlobalNormKernel.Reference.SumOfMagnitudes(x.Values), GlobalNormKernel.SumOfMagnitudes<V, S>(x.Pointer, 0, n));
            Assert.Equal(GlobalNormKernel.Reference.MaxMagnitude(x.Values), GlobalNormKernel.MaxMagnitude<V, S>(x.Pointer, 0, n));
            Assert.Equal(GlobalNormKernel.Reference.NonZero(x.Values), GlobalNormKernel.NonZero<V, S>(x.Pointer, 0, n));
            double magnitudes = GlobalNormKernel.Reference.SumOfMagnitudes(x.Values);
            Assert.Equal(GlobalNormKernel.Reference.Sum(x.Values) / magnitudes, GlobalNormKernel.Sum<V, S>(x.Pointer, 0, n) / magnitudes, Tolerance.DoubleSum);
            if (n > 2) Same(GlobalNormKernel.Reference.SumOfSquares(x.Values.AsSpan(1, n - 2)), GlobalNormKernel.SumOfSquares<V, S>(x.Pointer, 1, n - 2));
        }
        if (n > 0) NonFinite<V, T, SW, S>(n, random);
        if (n > 1) Zeros<V, T, SW, S>(n, random);
    }

    private static void Zeros<V, T, SW, S>(int n, Random random)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where SW : IStorage<T> where S : IStorage<double>
    {
        double[] values = KernelData.Normal(random, n);
        for (int i = 0; i < n; i += 3) values[i] = i % 2 == 0 ? 0 : -0.0;
        values[1] = double.NaN;
        values[n - 1] = typeof(T) == typeof(double) ? double.Epsilon : 1e-38;
        using var x = new KernelData<T, SW>(values);
        Assert.Equal(GlobalNormKernel.Reference.NonZero(x.Values), GlobalNormKernel.NonZero<V, S>(x.Pointer, 0, n));
    }

    private static void NonFinite<V, T, SW, S>(int n, Random random)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where SW : IStorage<T> where S : IStorage<double>
    {
        foreach (double bad in new[] { double.NaN, double.NegativeInfinity })
        {
            double[] values = KernelData.Normal(random, n);
            values[random.Next(n)] = bad;
            using var x = new KernelData<T, SW>(values);
            double expected = Math.Abs(bad);
            Assert.Equal(expected, GlobalNormKernel.SumOfSquares<V, S>(x.Pointer, 0, n));
            Assert.Equal(expected, GlobalNormKernel.SumOfMagnitudes<V, S>(x.Pointer, 0, n));
            Assert.Equal(expected, GlobalNormKernel.MaxMagnitude<V, S>(x.Pointer, 0, n));
            Assert.Equal(bad, GlobalNormKernel.Sum<V, S>(x.Pointer, 0, n));
        }
    }

    private static void Same(double expected, double actual) =>
        Assert.True(Math.Abs(expected - actual) <= Tolerance.DoubleSum * expected, $"{actual:g17}, expected {expected:g17}");
}
