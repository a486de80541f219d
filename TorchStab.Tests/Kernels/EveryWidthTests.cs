using System.Runtime.Intrinsics;
using TorchStab.Kernels;

namespace TorchStab.Tests.Kernels;

/// <summary>Kernels whose methods are generic in the vector: the same test at every width that this machine has.</summary>
public abstract class EveryWidthTests
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

    /// <summary>Every element type with these vectors.</summary>
    internal abstract void EveryStorage<VF, VD>() where VF : unmanaged, IVector<VF, float> where VD : unmanaged, IVector<VD, double>;
}
