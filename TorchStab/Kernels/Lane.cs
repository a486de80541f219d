using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>A boolean type parameter: a kernel is compiled for each value, so that its inner loop has no branch.</summary>
internal interface IFlag
{
    static abstract bool IsSet { get; }
}

internal readonly struct Yes : IFlag
{
    public static bool IsSet => true;
}

internal readonly struct No : IFlag
{
    public static bool IsSet => false;
}

/// <summary>Operations on an <see cref="IVector{TSelf, T}"/> that kernels share; E is the element type in memory.</summary>
internal static unsafe class Lane
{
    /// <summary>Loads elements of E. It widens bfloat16, float16, and float32 if T is double; otherwise E is T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V, T, E>(E* source)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged =>
        typeof(E) == typeof(BFloat16) ? V.Load((BFloat16*)source)
        : typeof(E) == typeof(Half) ? V.Load((Half*)source)
        : typeof(E) == typeof(float) && typeof(T) == typeof(double) ? V.Widen((float*)source) : V.Load((T*)source);

    /// <summary>As above, from element <paramref name="index"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V, T, E>(void* source, long index)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged => Load<V, T, E>((E*)source + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V, T, E>(V value, E* target)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged
    {
        if (typeof(E) == typeof(BFloat16)) value.Store((BFloat16*)target);
        else if (typeof(E) == typeof(Half)) value.Store((Half*)target);
        else value.Store((T*)target);
    }

    /// <summary>Uses a non-temporal store if <typeparamref name="S"/> is set (see <see cref="CanStream"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V, T, E, S>(V value, E* target)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where E : unmanaged
        where S : struct, IFlag
    {
        if (S.IsSet && typeof(E) == typeof(T)) value.StoreNonTemporal((T*)target);
        else Store<V, T, E>(value, target);
    }

    /// <summary>Sets all but the last <paramref name="count"/> lanes to zero, for a last vector that overlaps the one before it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V KeepLast<V, T>(V value, int count)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.Select(V.FirstLanes(V.Count - count), V.Zero, value);

    /// <summary>sum += value, square += value².</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddMoments<V, T>(V value, ref V sum, ref V square)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        sum += value;
        square = V.MultiplyAdd(value, value, square);
    }

    /// <summary>max(value, 0), as relu; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Relu<V, T>(V value)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.Max(value, V.Zero);

    /// <summary>The gradient where the activation was positive, zero elsewhere.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V WherePositive<V, T>(V activation, V gradient)
        where V : unmanaged, IVector<V, T>
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.Select(V.GreaterThan(activation, V.Zero), gradient, V.Zero);

    /// <summary>
    /// Whether non-temporal stores can write runs of <paramref name="elements"/> elements from this address on: runs of whole, aligned cache lines, not of
    /// bfloat16 or float16.
    /// </summary>
    public static bool CanStream<E>(void* address, long elements) where E : unmanaged =>
        sizeof(E) >= sizeof(float) && (nint)address % Memory.Line == 0 && elements * sizeof(E) % Memory.Line == 0;
}
