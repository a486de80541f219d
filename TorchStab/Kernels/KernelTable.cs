using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>A kernel: one method over the items [first, last), generic in the vector V, the type T of the arithmetic and the element type E.</summary>
internal unsafe interface IKernel
{
    static abstract void Run<V, T, E>(void* job, int first, int last)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged;
}

/// <summary>The instances of kernel <typeparamref name="K"/>. Only instances that are used are compiled.</summary>
internal readonly unsafe struct KernelTable<K> : IFamily<KernelTable<K>> where K : struct, IKernel
{
    private delegate*<void*, int, int, void> Run { get; init; }

    /// <summary>Returns the instance for an element type and a vector of <paramref name="bits"/> bits; below 128 it is scalar.</summary>
    public static delegate*<void*, int, int, void> Get(Element element, int bits) => Instances<KernelTable<K>>.Of(element, bits).Run;

    static KernelTable<K> IFamily<KernelTable<K>>.Of<V, T, E>() => new() { Run = &K.Run<V, T, E> };
}
