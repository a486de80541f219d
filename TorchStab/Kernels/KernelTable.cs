using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>The element types that kernels are instantiated for.</summary>
internal enum Element
{
    Float32,
    Float64,
    BFloat16,
}

/// <summary>A kernel's source: one method over items [first, last), generic in vector V, accumulator T and element E.</summary>
internal unsafe interface IKernel
{
    static abstract void Run<V, T, E>(void* job, int first, int last)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged;
}

/// <summary>The instances of kernel <typeparamref name="K"/>. Only those that are asked for are compiled.</summary>
internal static unsafe class KernelTable<K> where K : struct, IKernel
{
    /// <summary>The instance for an element type and a vector of <paramref name="bits"/> bits; anything below 128 is scalar.</summary>
    public static delegate*<void*, int, int, void> Get(Element element, int bits) => (element, bits) switch
    {
        (Element.Float32, >= 512) => &K.Run<V512<float>, float, float>,
        (Element.Float32, >= 256) => &K.Run<V256<float>, float, float>,
        (Element.Float32, >= 128) => &K.Run<V128<float>, float, float>,
        (Element.Float32, _) => &K.Run<V1<float>, float, float>,
        (Element.Float64, >= 512) => &K.Run<V512<double>, double, double>,
        (Element.Float64, >= 256) => &K.Run<V256<double>, double, double>,
        (Element.Float64, >= 128) => &K.Run<V128<double>, double, double>,
        (Element.Float64, _) => &K.Run<V1<double>, double, double>,
        (_, >= 512) => &K.Run<V512<float>, float, BFloat16>,
        (_, >= 256) => &K.Run<V256<float>, float, BFloat16>,
        (_, >= 128) => &K.Run<V128<float>, float, BFloat16>,
        _ => &K.Run<V1<float>, float, BFloat16>,
    };
}
