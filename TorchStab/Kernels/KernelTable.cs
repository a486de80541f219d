using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>A kernel's source: one method over items [first, last), generic in vector V, accumulator T and element E.</summary>
internal unsafe interface IKernel
{
    static abstract void Run<V, T, E>(void* job, int first, int last)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged;
}

/// <summary>The instances of kernel <typeparamref name="K"/>. Only those that are asked for are compiled.</summary>
internal readonly unsafe struct KernelTable<K> : IFamily<KernelTable<K>> where K : struct, IKernel
{
    private delegate*<void*, int, int, void> Run { get; init; }

    /// <summary>The instance for an element type and a vector of <paramref name="bits"/> bits; anything below 128 is scalar.</summary>
    public static delegate*<void*, int, int, void> Get(Element element, int bits) => Instances<KernelTable<K>>.Of(element, bits).Run;

    static KernelTable<K> IFamily<KernelTable<K>>.Of<V, T, E>() => new() { Run = &K.Run<V, T, E> };
}
