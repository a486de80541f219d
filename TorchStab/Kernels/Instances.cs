using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>The element types that kernels are instantiated for.</summary>
internal enum Element
{
    Float32,
    Float64,
    BFloat16,
}

/// <summary>
/// Methods that are generic in their vector V, the type T that they compute in and the element E in memory, as function pointers: what
/// <see cref="Instances{F}"/> makes for an element and a width.
/// </summary>
internal interface IFamily<F> where F : struct, IFamily<F>
{
    /// <summary>Whether all elements are computed in double; else float64 is, and the others in float.</summary>
    static virtual bool InDouble => false;

    /// <summary>The methods for these types.</summary>
    static abstract F Of<V, T, E>()
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged;
}

/// <summary>
/// The instances of a family of kernel methods, each made when it is first asked for: the one place where a width in bits becomes a vector type. Ask at every
/// call, so that a change of the width reaches every kernel.
/// </summary>
internal static class Instances<F> where F : struct, IFamily<F>
{
    private static readonly F[]?[] Made = new F[]?[12];

    /// <summary>Those for an element type and vectors of <paramref name="bits"/> bits; anything below 128 is scalar.</summary>
    public static ref readonly F Of(Element element, int bits)
    {
        ref var made = ref Made[(4 * (int)element) + (bits switch { >= 512 => 3, >= 256 => 2, >= 128 => 1, _ => 0 })];
        return ref (made ??= [Make(element, bits)])[0]; // two threads may both make it: they make the same
    }

    private static F Make(Element element, int bits) => element switch
    {
        Element.Float64 => Make<double, double>(bits),
        Element.Float32 => F.InDouble ? Make<double, float>(bits) : Make<float, float>(bits),
        _ => F.InDouble ? Make<double, BFloat16>(bits) : Make<float, BFloat16>(bits),
    };

    private static F Make<T, E>(int bits) where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged => bits switch
    {
        >= 512 => F.Of<V512<T>, T, E>(),
        >= 256 => F.Of<V256<T>, T, E>(),
        >= 128 => F.Of<V128<T>, T, E>(),
        _ => F.Of<V1<T>, T, E>(),
    };
}
