using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>How elements that are computed as T lie in memory: one kernel source reads float32, float64 and bfloat16.</summary>
internal unsafe interface IStorage<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Bytes of an element.</summary>
    static abstract int Size { get; }

    static abstract V Load<V>(void* elements, long index) where V : unmanaged, IVector<V, T>;

    static abstract void Store<V>(V value, void* elements, long index) where V : unmanaged, IVector<V, T>;
}

/// <summary>Stored as it is computed.</summary>
internal readonly unsafe struct Plain<T> : IStorage<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static int Size => sizeof(T);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(void* elements, long index) where V : unmanaged, IVector<V, T> => V.Load((T*)elements + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V value, void* elements, long index) where V : unmanaged, IVector<V, T> => value.Store((T*)elements + index);
}

/// <summary>bfloat16; computed in float, or read into double.</summary>
internal readonly unsafe struct HalfWidth<T> : IStorage<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static int Size => sizeof(BFloat16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(void* elements, long index) where V : unmanaged, IVector<V, T> => V.Load((BFloat16*)elements + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V value, void* elements, long index) where V : unmanaged, IVector<V, T> => value.Store((BFloat16*)elements + index);
}

/// <summary>float32 read into double.</summary>
internal readonly unsafe struct Widened : IStorage<double>
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(void* elements, long index) where V : unmanaged, IVector<V, double> => V.Widen((float*)elements + index);

    public static void Store<V>(V value, void* elements, long index) where V : unmanaged, IVector<V, double> => throw new NotSupportedException();
}
