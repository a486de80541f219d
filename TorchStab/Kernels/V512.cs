using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>512 bits: 16 floats or 8 doubles.</summary>
internal readonly unsafe struct V512<T>(Vector512<T> value) : IVector<V512<T>, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector512<T> _value = value;

    public static int Count => Vector512<T>.Count;

    public static V512<T> Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Create(T value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Load(T* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* target) => _value.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreNonTemporal(T* target) => _value.StoreAlignedNonTemporal(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator +(V512<T> a, V512<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator -(V512<T> a, V512<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator *(V512<T> a, V512<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator /(V512<T> a, V512<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Sqrt(V512<T> a) => new(Vector512.Sqrt(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Abs(V512<T> a) => new(Vector512.Abs(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Equal(V512<T> a, V512<T> b) => new(Vector512.Equals(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> GreaterThan(V512<T> a, V512<T> b) => new(Vector512.GreaterThan(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Select(V512<T> mask, V512<T> a, V512<T> b) => new(Vector512.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> FirstLanes(int count) => typeof(T) == typeof(float)
        ? new(Vector512.LessThan(Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), Vector512.Create(count)).As<int, T>())
        : new(Vector512.LessThan(Vector512.Create(0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L), Vector512.Create((long)count)).As<long, T>());

    // a if it is larger or NaN, otherwise b. If b is NaN the comparison is false, so the result is NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Max(V512<T> a, V512<T> b)
    {
        var keep = Vector512.Equals(a._value, a._value) & ~Vector512.GreaterThan(a._value, b._value);
        return new(Vector512.ConditionalSelect(keep, b._value, a._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V512<T> a) => V256<T>.Sum(new(a._value.GetLower() + a._value.GetUpper())); // by halves, twice as fast as Vector512.Sum

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumWide(V512<T> a)
    {
        if (typeof(T) == typeof(double)) return double.CreateTruncating(Sum(a));
        var (low, high) = Vector512.Widen(a._value.AsSingle());
        return V512<double>.Sum(new(low + high));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddTo(double* sums)
    {
        if (typeof(T) == typeof(double))
        {
            (Vector512.Load(sums) + _value.AsDouble()).Store(sums);
            return;
        }
        var (low, high) = Vector512.Widen(_value.AsSingle());
        (Vector512.Load(sums) + low).Store(sums);
        (Vector512.Load(sums + Vector512<double>.Count) + high).Store(sums + Vector512<double>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> MultiplyAdd(V512<T> a, V512<T> b, V512<T> c)
    {
        if (typeof(T) == typeof(float) && Avx512F.IsSupported)
            return new(Avx512F.FusedMultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).As<float, T>());
        if (typeof(T) == typeof(double) && Avx512F.IsSupported)
            return new(Avx512F.FusedMultiplyAdd(a._value.AsDouble(), b._value.AsDouble(), c._value.AsDouble()).As<double, T>());
        return new((a._value * b._value) + c._value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Widen(float* source)
    {
        if (typeof(T) == typeof(float)) return Load((T*)source);
        return new(Avx512F.ConvertToVector512Double(Vector256.Load(source)).As<double, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Load(BFloat16* source)
    {
        if (typeof(T) == typeof(double))
            return new(Avx512F.ConvertToVector512Double(
                Vector256.ShiftLeft(Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)source)), 16).AsSingle()).As<double, T>());
        return new(Vector512.ShiftLeft(Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source)), 16).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Round<E>(V512<T> a) where E : unmanaged
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var bits = a._value.As<T, uint>();
        if (typeof(E) == typeof(Half)) return new(Float16.Widen(Float16.Narrow(bits)).As<uint, T>());
        var odd = Vector512.ShiftRightLogical(bits, 16) & Vector512<uint>.One;
        return new(((bits + odd + Vector512.Create(0x7FFFu)) & Vector512.Create(0xFFFF0000u)).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Load(Half* source)
    {
        if (typeof(T) == typeof(double))
            return new(Avx512F.ConvertToVector512Double(Float16.Widen(Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)source)).AsUInt32()).AsSingle())
                .As<double, T>());
        return new(Float16.Widen(Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source))).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Half* target)
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var half = Float16.Narrow(_value.As<T, uint>());
        Avx512F.ConvertToVector256UInt16(half).Store((ushort*)target);
    }

    // Rounds to nearest even as BFloat16 does. NaN becomes the quiet NaN, because rounding its bits could give infinity.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(BFloat16* target)
    {
        var rounded = Vector512.ShiftRightLogical(Round<BFloat16>(this)._value.As<T, uint>(), 16);
        var number = Vector512.Equals(_value, _value).As<T, uint>();
        rounded = Vector512.ConditionalSelect(number, rounded, Vector512.Create(0x7FC0u));
        Avx512F.ConvertToVector256UInt16(rounded).Store((ushort*)target);
    }
}
