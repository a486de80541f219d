using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Copies gradients into a bucket and back, and checks whether they are finite. 0·x is 0 for every finite x and NaN for any other x, so the sum of 0·x shows
/// whether all are finite, and it cannot overflow as a sum of x can.
/// </summary>
/// <remarks>
/// Elements that need no conversion are copied by the C library's memmove. Another core has just read the bucket, and vector stores fetch each cache line
/// back before they write it; memmove of whole lines does not, which halves the time if the cores share no cache.
/// </remarks>
internal static unsafe partial class BucketKernel
{
    public readonly struct Family : IFamily<Family>
    {
        public delegate*<void*, void*, long, bool> Gather { get; private init; }

        public delegate*<void*, long, bool> IsFinite { get; private init; }

        public delegate*<void*, void*, long, void> Scatter { get; private init; }

        static Family IFamily<Family>.Of<V, T, E>() =>
            new() { Gather = &BucketKernel.Gather<V, T, E>, IsFinite = &BucketKernel.IsFinite<V, T, E>, Scatter = &BucketKernel.Scatter<V, T, E> };
    }

    /// <summary>Copies elements to T, and returns whether all are finite.</summary>
    [MethodImpl(Jit.Loop)]
    public static bool Gather<V, T, E>(void* source, void* target, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        if (typeof(E) == typeof(T)) Buffer.MemoryCopy(source, target, count * sizeof(T), count * sizeof(T));
        else Widen<V, T, E>(source, (T*)target, count);
        return IsFinite<V, T, T>(target, count);
    }

    /// <summary>Returns whether all elements are finite.</summary>
    [MethodImpl(Jit.Loop)]
    public static bool IsFinite<V, T, E>(void* elements, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        V zero = V.Zero, a0 = zero, a1 = zero, a2 = zero, a3 = zero;
        long i = 0;
        for (; i <= count - (4 * V.Count); i += 4 * V.Count)
        {
            a0 = V.MultiplyAdd(Lane.Load<V, T, E>(elements, i), zero, a0);
            a1 = V.MultiplyAdd(Lane.Load<V, T, E>(elements, i + V.Count), zero, a1);
            a2 = V.MultiplyAdd(Lane.Load<V, T, E>(elements, i + (2 * V.Count)), zero, a2);
            a3 = V.MultiplyAdd(Lane.Load<V, T, E>(elements, i + (3 * V.Count)), zero, a3);
        }
        var rest = V1<T>.Zero;
        for (; i < count; i++) rest = V1<T>.MultiplyAdd(Lane.Load<V1<T>, T, E>(elements, i), V1<T>.Zero, rest);
        return V.Sum((a0 + a1) + (a2 + a3)) + V1<T>.Sum(rest) == T.Zero;
    }

    /// <summary>Copies T back to the element type.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Scatter<V, T, E>(void* source, void* target, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        if (typeof(E) == typeof(T))
        {
            Buffer.MemoryCopy(source, target, count * sizeof(T), count * sizeof(T));
            return;
        }
        T* from = (T*)source;
        long i = 0;
        for (; i <= count - V.Count; i += V.Count) Lane.Store<V, T, E>(V.Load(from + i), (E*)target + i);
        for (; i < count; i++) Lane.Store<V1<T>, T, E>(V1<T>.Load(from + i), (E*)target + i);
    }

    [MethodImpl(Jit.Loop)]
    private static void Widen<V, T, E>(void* source, T* target, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        long i = 0;
        for (; i <= count - V.Count; i += V.Count) Lane.Load<V, T, E>(source, i).Store(target + i);
        for (; i < count; i++) Lane.Load<V1<T>, T, E>(source, i).Store(target + i);
    }
}
