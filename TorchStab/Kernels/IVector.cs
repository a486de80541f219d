using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>
/// What a kernel needs of a vector, so that one source serves every width: <see cref="V512{T}"/>, <see cref="V256{T}"/>,
/// <see cref="V128{T}"/> and, for tails and machines without vectors, <see cref="V1{T}"/>, over float and double. Write the loop body once,
/// generic in V, and run it with V over whole vectors and with V1 over the rest:
/// <code>
/// [MethodImpl(Jit.Loop)]
/// static void Scale&lt;V, T&gt;(T* x, T factor, long n) where V : unmanaged, IVector&lt;V, T&gt; where T : unmanaged, IBinaryFloatingPointIeee754&lt;T&gt;
/// {
///     long i = 0;
///     for (; i &lt;= n - V.Count; i += V.Count) (V.Load(x + i) * V.Create(factor)).Store(x + i);
///     for (; i &lt; n; i++) x[i] *= factor;
/// }
/// </code>
/// Constants of the loop go into locals before it: the JIT does not hoist <c>V.Create</c> out of generic code reliably.
/// A bfloat16 tensor is computed in float (or double): <c>V.Load(BFloat16*)</c> widens; <c>Store(BFloat16*)</c> rounds to nearest even and
/// is for T = float only.
/// </summary>
internal unsafe interface IVector<TSelf, T>
    where TSelf : unmanaged, IVector<TSelf, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Lanes.</summary>
    static abstract int Count { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Create(T value);

    static abstract TSelf Load(T* source);

    static abstract TSelf Load(BFloat16* source);

    /// <summary>As many floats as there are lanes, as T.</summary>
    static abstract TSelf Widen(float* source);

    void Store(T* target);

    void Store(BFloat16* target);

    /// <summary>Past the caches; the address must be a multiple of the vector's size. End the job with <see cref="Memory.Fence"/>.</summary>
    void StoreNonTemporal(T* target);

    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    /// <summary>a·b + c, rounded once where the machine can.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Sqrt(TSelf a);

    static abstract TSelf Abs(TSelf a);

    /// <summary>A mask of all ones where a &gt; b.</summary>
    static abstract TSelf GreaterThan(TSelf a, TSelf b);

    /// <summary>A mask of the first lanes: for a tail loaded as the last whole vector or from padded memory.</summary>
    static abstract TSelf FirstLanes(int count);

    /// <summary>a where the mask is set, b elsewhere.</summary>
    static abstract TSelf Select(TSelf mask, TSelf a, TSelf b);

    /// <summary>The larger one; NaN in either gives NaN.</summary>
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>The sum of the lanes, added in T.</summary>
    static abstract T Sum(TSelf a);

    /// <summary>The sum of the lanes, each widened to double first.</summary>
    static abstract double SumWide(TSelf a);

    /// <summary>Adds each lane, widened, to a double of its own.</summary>
    void AddTo(double* sums);
}

/// <summary>Hints to the memory system; without effect where the machine has none.</summary>
internal static unsafe class Memory
{
    /// <summary>Bytes of a cache line.</summary>
    public const int Line = 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(void* address)
    {
        if (Sse.IsSupported) Sse.Prefetch0(address);
    }

    /// <summary>Makes non-temporal stores visible; once, at the end of each thread's part.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fence()
    {
        if (Sse.IsSupported) Sse.StoreFence();
    }
}
