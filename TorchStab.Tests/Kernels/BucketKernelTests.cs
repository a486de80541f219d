using System.Numerics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class BucketKernelTests : EveryWidthTests
{
    internal override void EveryStorage<VF, VD>()
    {
        foreach (int n in KernelInstances.Lengths.Prepend(0))
        {
            Equal<VF, float, float>(n);
            Equal<VD, double, double>(n);
            Equal<VF, float, BFloat16>(n);
        }
    }

    // Every place of the one that is not finite, and finite numbers whose sum overflows.
    private static void Equal<V, T, E>(int n) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var random = new Random(n);
        double[] values = KernelValues.Normal(random, n, typeof(T) == typeof(double) ? 1e307 : 3e37);
        Same<V, T, E>(values, null);
        foreach (double bad in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity })
            for (int i = random.Next(3); i < n; i += 1 + (n / 20)) Same<V, T, E>(values, (i, bad));
    }

    private static void Same<V, T, E>(double[] values, (int Index, double Value)? bad)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        double[] given = [.. values];
        if (bad is { } b) given[b.Index] = b.Value;
        using var x = NativeBuffer.Of<E>(given);
        using var bucket = NativeBuffer.Of<T>(new double[given.Length]);
        using var back = NativeBuffer.Of<E>(new double[given.Length]);
        double[] expected = new double[given.Length];
        bool finite = BucketKernel.Reference.Gather(x.Values, expected);
        Assert.Equal(finite, BucketKernel.Gather<V, T, E>(x.Pointer, bucket.Pointer, given.Length));
        Assert.Equal(expected, bucket.ToArray());
        Assert.Equal(finite, BucketKernel.IsFinite<V, T, E>(x.Pointer, given.Length));
        BucketKernel.Scatter<V, T, E>(bucket.Pointer, back.Pointer, given.Length);
        Assert.Equal(expected, back.ToArray());
        bucket.AssertBorders("bucket");
        back.AssertBorders("back");
    }
}
