using System.Numerics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class GlobalNormKernelTests : EveryWidthTests
{
    internal override void EveryStorage<VF, VD>()
    {
        foreach (int n in KernelInstances.Lengths.Prepend(0))
        {
            Equal<VD, double, double>(n, 1e150);
            Equal<VD, float, float>(n, 1e37);
            Equal<VD, float, BFloat16>(n, 1e37);
            Equal<VD, float, Half>(n, 1e4);
        }
    }

    // Elements E are written from T and read by the kernel as double.
    private static void Equal<V, T, E>(int n, double huge)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var random = new Random(n);
        foreach (double scale in new[] { 1, 1e-30, huge })
        {
            using var x = NativeBuffer.Of<E>(KernelValues.Normal(random, n, scale));
            Same(GlobalNormKernel.Reference.SumOfSquares(x.Values), GlobalNormKernel.SumOfSquares<V, double, E>(x.Pointer, 0, n));
            Same(GlobalNormKernel.Reference.SumOfMagnitudes(x.Values), GlobalNormKernel.SumOfMagnitudes<V, double, E>(x.Pointer, 0, n));
            Assert.Equal(GlobalNormKernel.Reference.MaxMagnitude(x.Values), GlobalNormKernel.MaxMagnitude<V, double, E>(x.Pointer, 0, n));
            Assert.Equal(GlobalNormKernel.Reference.NonZero(x.Values), GlobalNormKernel.NonZero<V, double, E>(x.Pointer, 0, n));
            double magnitudes = GlobalNormKernel.Reference.SumOfMagnitudes(x.Values);
            Assert.Equal(GlobalNormKernel.Reference.Sum(x.Values) / magnitudes, GlobalNormKernel.Sum<V, double, E>(x.Pointer, 0, n) / magnitudes,
                Tolerance.DoubleSum);
            if (n > 2) Same(GlobalNormKernel.Reference.SumOfSquares(x.Values.AsSpan(1, n - 2)),
                GlobalNormKernel.SumOfSquares<V, double, E>(x.Pointer, 1, n - 2));
        }
        if (n > 0) NonFinite<V, T, E>(n, random);
        if (n > 1) Zeros<V, T, E>(n, random);
    }

    private static void Zeros<V, T, E>(int n, Random random)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        double[] values = KernelValues.Normal(random, n);
        for (int i = 0; i < n; i += 3) values[i] = i % 2 == 0 ? 0 : -0.0;
        values[1] = double.NaN;
        values[n - 1] = typeof(T) == typeof(double) ? double.Epsilon : 1e-38;
        using var x = NativeBuffer.Of<E>(values);
        Assert.Equal(GlobalNormKernel.Reference.NonZero(x.Values), GlobalNormKernel.NonZero<V, double, E>(x.Pointer, 0, n));
    }

    private static void NonFinite<V, T, E>(int n, Random random)
        where V : unmanaged, IVector<V, double> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        foreach (double bad in new[] { double.NaN, double.NegativeInfinity })
        {
            double[] values = KernelValues.Normal(random, n);
            values[random.Next(n)] = bad;
            using var x = NativeBuffer.Of<E>(values);
            double expected = Math.Abs(bad);
            Assert.Equal(expected, GlobalNormKernel.SumOfSquares<V, double, E>(x.Pointer, 0, n));
            Assert.Equal(expected, GlobalNormKernel.SumOfMagnitudes<V, double, E>(x.Pointer, 0, n));
            Assert.Equal(expected, GlobalNormKernel.MaxMagnitude<V, double, E>(x.Pointer, 0, n));
            Assert.Equal(bad, GlobalNormKernel.Sum<V, double, E>(x.Pointer, 0, n));
        }
    }

    private static void Same(double expected, double actual) =>
        Assert.True(Math.Abs(expected - actual) <= Tolerance.DoubleSum * expected, $"{actual:g17}, expected {expected:g17}");
}
