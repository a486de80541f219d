using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>
/// The vector operations that kernels use, so that one source serves every width: <see cref="V512{T}"/>, <see cref="V256{T}"/>, <see cref="V128{T}"/> and,
/// for tails and machines without vectors, <see cref="V1{T}"/>, of float or double. Write the loop body once, generic in V, and run it with V over whole
/// vectors and with V1 over the rest:
/// <code>
/// [MethodImpl(Jit.Loop)]
/// static void Scale&lt;V, T&gt;(T* x, T factor, long n) where V : unmanaged, IVector&lt;V, T&gt; where T : unmanaged, IBinaryFloatingPointIeee754&lt;T&gt;
/// {
///     long i = 0;
///     for (; i &lt;= n - V.Count; i += V.Count) (V.Load(x + i) * V.Create(factor)).Store(x + i);
///     for (; i &lt; n; i++) x[i] *= factor;
/// }
/// </code>
/// Store the loop's constants in locals before the loop, because the JIT does not reliably hoist <c>V.Create</c> out of generic code. Kernels compute
/// bfloat16 and float16 tensors in float (or double): <c>V.Load(BFloat16*)</c> widens, and <c>Store(BFloat16*)</c>, which exists only for T = float, rounds
/// to nearest even; the same for <c>Half*</c>.
/// </summary>
internal unsafe interface IVector<TSelf, T>
    where TSelf : unmanaged, IVector<TSelf, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>The number of lanes.</summary>
    static abstract int Count { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Create(T value);

    static abstract TSelf Load(T* source);

    static abstract TSelf Load(BFloat16* source);

    static abstract TSelf Load(Half* source);

    /// <summary>Loads one float per lane and converts it to T.</summary>
    static abstract TSelf Widen(float* source);

    void Store(T* target);

    void Store(BFloat16* target);

    void Store(Half* target);

    /// <summary>
    /// A non-temporal store, which bypasses the caches. The address must be a multiple of the vector's size. End the job with <see cref="Memory.Fence"/>.
    /// </summary>
    void StoreNonTemporal(T* target);

    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    /// <summary>a·b + c, rounded once if the machine has such an instruction.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Sqrt(TSelf a);

    static abstract TSelf Abs(TSelf a);

    /// <summary>
    /// Rounds to the nearest BFloat16 or Half, as <c>Store</c> does, and keeps the type. Only for T = float. NaN remains NaN or becomes any number.
    /// </summary>
    static abstract TSelf Round<E>(TSelf a) where E : unmanaged;

    /// <summary>A mask that is set where a = b.</summary>
    static abstract TSelf Equal(TSelf a, TSelf b);

    /// <summary>A mask that is set where a &gt; b.</summary>
    static abstract TSelf GreaterThan(TSelf a, TSelf b);

    /// <summary>A mask that is set in the first <paramref name="count"/> lanes.</summary>
    static abstract TSelf FirstLanes(int count);

    /// <summary>a where the mask is set, b elsewhere.</summary>
    static abstract TSelf Select(TSelf mask, TSelf a, TSelf b);

    /// <summary>The larger value; NaN if either is NaN.</summary>
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>The sum of the lanes, added in T.</summary>
    static abstract T Sum(TSelf a);

    /// <summary>The sum of the lanes, each widened to double first.</summary>
    static abstract double SumWide(TSelf a);

    /// <summary>Adds each lane, widened, to the double at its index.</summary>
    void AddTo(double* sums);
}

/// <summary>Hints to the memory system; without effect on machines that lack them.</summary>
internal static unsafe class Memory
{
    /// <summary>Bytes of a cache line.</summary>
    public const int Line = 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(void* address)
    {
        if (Sse.IsSupported) Sse.Prefetch0(address);
    }

    /// <summary>Orders non-temporal stores before later stores. Call it once, at the end of each thread's part.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fence()
    {
        if (Sse.IsSupported) Sse.StoreFence();
    }
}
