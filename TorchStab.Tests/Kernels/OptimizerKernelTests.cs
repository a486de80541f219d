using System.Numerics;
using System.Runtime.Intrinsics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>The update kernels of every width and storage against their scalar references, at lengths 0..257.</summary>
public abstract unsafe class OptimizerKernelTests
{
    [Fact]
    public void Scalar_equals_the_reference() => EveryStorage<V1<float>, V1<double>>();

    [Fact]
    public void Vectors_of_128_bits_equal_the_reference() => EveryStorage<V128<float>, V128<double>>();

    [Fact]
    public void Vectors_of_256_bits_equal_the_reference()
    {
        if (Vector256.IsHardwareAccelerated) EveryStorage<V256<float>, V256<double>>();
    }

    [Fact]
    public void Vectors_of_512_bits_equal_the_reference()
    {
        if (Vector512.IsHardwareAccelerated) EveryStorage<V512<float>, V512<double>>();
    }

    /// <summary>Runs one case; the seed chooses the options.</summary>
    internal abstract void Equal<V, T, S>(int n, Random random, double tolerance)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>;

    internal static GradientTransform Transform(Random random) => new()
    {
        Scale = (random.Next(2) * 2 - 1) * (0.1 + random.NextDouble()),
        Bound = random.Next(2) == 0 ? double.PositiveInfinity : 0.5,
        Decay = random.Next(2) * 0.1,
    };

    private void EveryStorage<VF, VD>() where VF : unmanaged, IVector<VF, float> where VD : unmanaged, IVector<VD, double>
    {
        foreach (int n in KernelData.Lengths)
        {
            for (int seed = 0; seed < 8; seed++)
            {
                Equal<VD, double, Plain<double>>(n, new Random(seed), Tolerance.Float64);
                Equal<VF, float, Plain<float>>(n, new Random(seed), Tolerance.Float32);
                Equal<VF, float, HalfWidth<float>>(n, new Random(seed), Tolerance.BFloat16);
            }
        }
    }
}
