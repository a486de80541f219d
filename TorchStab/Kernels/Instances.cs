using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>The element types that kernels are instantiated for.</summary>
internal enum Element
{
    Float32,
    Float64,
    BFloat16,
    Float16,
}

/// <summary>
/// Function pointers to methods that are generic in the vector V, the type T of the arithmetic and the element type E in memory. <see cref="Instances{F}"/>
/// creates them for an element type and a width.
/// </summary>
internal interface IFamily<F> where F : struct, IFamily<F>
{
    /// <summary>Whether the methods compute all element types in double; false (the default): float64 in double, the others in float.</summary>
    static virtual bool InDouble => false;

    /// <summary>Returns the methods for these types.</summary>
    static abstract F Of<V, T, E>()
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged;
}

/// <summary>
/// The instances of a family of kernel methods, each created at its first use. Only this class turns a width in bits into a vector type. Get the instance at
/// every call, so that a change of the width reaches every kernel.
/// </summary>
internal static class Instances<F> where F : struct, IFamily<F>
{
    private static readonly F[]?[] Made = new F[]?[16];

    /// <summary>Returns the methods for an element type and vectors of <paramref name="bits"/> bits; below 128 they are scalar.</summary>
    public static ref readonly F Of(Element element, int bits)
    {
        ref var made = ref Made[(4 * (int)element) + (bits switch { >= 512 => 3, >= 256 => 2, >= 128 => 1, _ => 0 })];
        return ref (made ??= [Make(element, bits)])[0]; // two threads may both create it, with equal results
    }

    private static F Make(Element element, int bits) => element switch
    {
        Element.Float64 => Make<double, double>(bits),
        Element.Float32 => F.InDouble ? Make<double, float>(bits) : Make<float, float>(bits),
        Element.Float16 => F.InDouble ? Make<double, Half>(bits) : Make<float, Half>(bits),
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
