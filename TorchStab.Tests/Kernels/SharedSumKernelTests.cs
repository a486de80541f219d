using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class SharedSumKernelTests
{
    [Fact]
    public void Scalar_equals_the_reference() => BothTypes<V1<float>, V1<double>>();

    [Fact]
    public void Vectors_of_128_bits_equal_the_reference() => BothTypes<V128<float>, V128<double>>();

    [Fact]
    public void Vectors_of_256_bits_equal_the_reference()
    {
        if (Vector256.IsHardwareAccelerated) BothTypes<V256<float>, V256<double>>();
    }

    [Fact]
    public void Vectors_of_512_bits_equal_the_reference()
    {
        if (Vector512.IsHardwareAccelerated) BothTypes<V512<float>, V512<double>>();
    }

    private static void BothTypes<VF, VD>() where VF : unmanaged, IVector<VF, float> where VD : unmanaged, IVector<VD, double>
    {
        foreach (int n in KernelInstances.Lengths.Prepend(0))
        {
            Equal<VF, float>(n, x => (float)x);
            Equal<VD, double>(n, x => x);
        }
    }

    private static void Equal<V, T>(int n, Func<double, double> round) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var random = new Random(n);
        for (int ranks = 1; ranks <= 4; ranks++)
        {
            double[][] values = [.. Enumerable.Range(0, ranks).Select(_ => KernelValues.Normal(random, n))];
            int rank = random.Next(ranks);
            Same<V, T>(values, rank, round);
            if (n == 0) continue;
            values[rank][random.Next(n)] = new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity }[n % 3];
            Same<V, T>(values, rank, round);
            values[random.Next(ranks)][random.Next(n)] = double.NaN;
            Same<V, T>(values, rank, round);
        }
    }

    private static void Same<V, T>(double[][] values, int rank, Func<double, double> round)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var terms = values.Select(v => NativeBuffer.Of<T>(v)).ToList();
        int n = values[0].Length;
        bool finite = terms[rank].Values.All(double.IsFinite);
        var expected = SharedSumKernel.Reference.Add([.. terms.Select(t => t.Values)], round);
        T* shared = (T*)NativeMemory.AlignedAlloc((nuint)((n + 1) * sizeof(T)), 64);
        shared[n] = T.One;
        Assert.Equal(finite, SharedSumKernel.Send<V, T>(terms[rank].Pointer, shared, n));
        Assert.Equal(terms[rank].Values, Read(shared, n));
        void** pointers = stackalloc void*[terms.Count];
        foreach (var (k, term) in terms.Index()) pointers[k] = term.Pointer;
        Assert.Equal(finite, SharedSumKernel.Add<V, T>(pointers, terms.Count, rank, shared, n));
        Assert.Equal(expected, terms[rank].ToArray());
        Assert.Equal(expected, Read(shared, n));
        Assert.Equal(T.One, shared[n]);
        terms[rank].AssertBorders("terms");
        NativeMemory.AlignedFree(shared);
        terms.ForEach(t => t.Dispose());
    }

    private static double[] Read<T>(T* elements, int n) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        [.. new Span<T>(elements, n).ToArray().Select(double.CreateTruncating)];
}
