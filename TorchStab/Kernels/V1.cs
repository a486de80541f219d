using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>One element, for tails and for machines without vectors. Masks are 1 and 0.</summary>
internal readonly unsafe struct V1<T>(T value) : IVector<V1<T>, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly T _value = value;

    public static int Count => 1;

    public static V1<T> Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Create(T value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Load(T* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Load(BFloat16* source) => new(T.CreateTruncating((float)*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Widen(float* source) => new(T.CreateTruncating(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* target) => *target = _value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(BFloat16* target)
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        *target = (BFloat16)float.CreateTruncating(_value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreNonTemporal(T* target) => *target = _value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> operator +(V1<T> a, V1<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> operator -(V1<T> a, V1<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> operator *(V1<T> a, V1<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> operator /(V1<T> a, V1<T> b) => new(a._value / b._value);

    // Fused only if the machine has the instruction: in software it takes a hundred times as long.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> MultiplyAdd(V1<T> a, V1<T> b, V1<T> c) =>
        new(Fma.IsSupported || AdvSimd.IsSupported ? T.FusedMultiplyAdd(a._value, b._value, c._value) : (a._value * b._value) + c._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Sqrt(V1<T> a) => new(T.Sqrt(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Abs(V1<T> a) => new(T.Abs(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Round<E>(V1<T> a) where E : unmanaged
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        float value = float.CreateTruncating(a._value);
        return new(T.CreateTruncating(typeof(E) == typeof(Half) ? (float)(Half)value : (float)(BFloat16)value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Load(Half* source) => new(T.CreateTruncating((float)*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Half* target)
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        *target = (Half)float.CreateTruncating(_value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Equal(V1<T> a, V1<T> b) => new(a._value == b._value ? T.One : T.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> GreaterThan(V1<T> a, V1<T> b) => new(a._value > b._value ? T.One : T.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> FirstLanes(int count) => new(count > 0 ? T.One : T.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Select(V1<T> mask, V1<T> a, V1<T> b) => mask._value != T.Zero ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V1<T> Max(V1<T> a, V1<T> b) => a._value > b._value || T.IsNaN(a._value) ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V1<T> a) => a._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumWide(V1<T> a) => double.CreateTruncating(a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddTo(double* sums) => *sums += double.CreateTruncating(_value);
}
