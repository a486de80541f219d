using System.Numerics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class AverageKernelTests : EveryWidthTests
{
    private static readonly double[] Weights = [0, 1e-4, 0.3, 0.5, 0.75, 1];

    internal override void EveryStorage<VF, VD>()
    {
        foreach (int n in KernelInstances.Lengths.Prepend(0))
        {
            Equal<VF, float, float>(n, Tolerance.KernelFloat32);
            Equal<VD, double, double>(n, Tolerance.KernelFloat64);
            Equal<VF, float, BFloat16>(n, Tolerance.KernelFloat32);
        }
    }

    // In two runs that meet anywhere, as chunks do.
    private static void Equal<V, T, E>(int n, double tolerance) where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var random = new Random(n);
        foreach (double weight in Weights)
        {
            using var average = NativeBuffer.Of<T>(KernelValues.Normal(random, n, 3));
            using var value = NativeBuffer.Of<E>(KernelValues.Normal(random, n, 3));
            double[] expected = [.. average.Values];
            AverageKernel.Reference.Run(expected, value.Values, weight);
            int first = random.Next(n + 1);
            AverageKernel.Run<V, T, E>(average.Pointer, value.Pointer, 0, first, weight);
            AverageKernel.Run<V, T, E>(average.Pointer, value.Pointer, first, n - first, weight);
            KernelValues.Close(expected, average.ToArray(), tolerance, $"w = {weight}");
            if (weight is 0 or 1) Assert.Equal(expected, average.ToArray());
            average.AssertBorders("average");
        }
    }
}
