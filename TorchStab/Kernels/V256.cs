using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>256 bits: 8 floats or 4 doubles.</summary>
internal readonly unsafe struct V256<T>(Vector256<T> value) : IVector<V256<T>, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector256<T> _value = value;

    public static int Count => Vector256<T>.Count;

    public static V256<T> Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Create(T value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Load(T* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* target) => _value.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreNonTemporal(T* target) => _value.StoreAlignedNonTemporal(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator +(V256<T> a, V256<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator -(V256<T> a, V256<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator *(V256<T> a, V256<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator /(V256<T> a, V256<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Sqrt(V256<T> a) => new(Vector256.Sqrt(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Abs(V256<T> a) => new(Vector256.Abs(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Equal(V256<T> a, V256<T> b) => new(Vector256.Equals(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> GreaterThan(V256<T> a, V256<T> b) => new(Vector256.GreaterThan(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Select(V256<T> mask, V256<T> a, V256<T> b) => new(Vector256.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> FirstLanes(int count) => typeof(T) == typeof(float)
        ? new(Vector256.LessThan(Vector256.Create(0, 1, 2, 3, 4, 5, 6, 7), Vector256.Create(count)).As<int, T>())
        : new(Vector256.LessThan(Vector256.Create(0L, 1L, 2L, 3L), Vector256.Create((long)count)).As<long, T>());

    // a if it is larger or NaN, otherwise b. If b is NaN the comparison is false, so the result is NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Max(V256<T> a, V256<T> b)
    {
        var keep = Vector256.Equals(a._value, a._value) & ~Vector256.GreaterThan(a._value, b._value);
        return new(Vector256.ConditionalSelect(keep, b._value, a._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V256<T> a) => Vector128.Sum(a._value.GetLower() + a._value.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumWide(V256<T> a)
    {
        if (typeof(T) == typeof(double)) return double.CreateTruncating(Sum(a));
        var (low, high) = Vector256.Widen(a._value.AsSingle());
        return V256<double>.Sum(new(low + high));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddTo(double* sums)
    {
        if (typeof(T) == typeof(double))
        {
            (Vector256.Load(sums) + _value.AsDouble()).Store(sums);
            return;
        }
        var (low, high) = Vector256.Widen(_value.AsSingle());
        (Vector256.Load(sums) + low).Store(sums);
        (Vector256.Load(sums + Vector256<double>.Count) + high).Store(sums + Vector256<double>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> MultiplyAdd(V256<T> a, V256<T> b, V256<T> c)
    {
        if (typeof(T) == typeof(float) && Fma.IsSupported)
            return new(Fma.MultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).As<float, T>());
        if (typeof(T) == typeof(double) && Fma.IsSupported)
            return new(Fma.MultiplyAdd(a._value.AsDouble(), b._value.AsDouble(), c._value.AsDouble()).As<double, T>());
        return new((a._value * b._value) + c._value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Widen(float* source)
    {
        if (typeof(T) == typeof(float)) return Load((T*)source);
        return new(Avx.ConvertToVector256Double(Vector128.Load(source)).As<double, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Load(BFloat16* source)
    {
        if (typeof(T) == typeof(double))
            return new(Avx.ConvertToVector256Double(
                Vector128.ShiftLeft(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16()), 16).AsSingle()).As<double, T>());
        return new(Vector256.ShiftLeft(Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)source)).AsUInt32(), 16).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Round<E>(V256<T> a) where E : unmanaged
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var bits = a._value.As<T, uint>();
        if (typeof(E) == typeof(Half)) return new(Float16.Widen(Float16.Narrow(bits)).As<uint, T>());
        var odd = Vector256.ShiftRightLogical(bits, 16) & Vector256<uint>.One;
        return new(((bits + odd + Vector256.Create(0x7FFFu)) & Vector256.Create(0xFFFF0000u)).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Load(Half* source)
    {
        if (typeof(T) == typeof(double))
            return new(Avx.ConvertToVector256Double(Float16.Widen(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16())).AsSingle())
                .As<double, T>());
        return new(Float16.Widen(Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)source)).AsUInt32()).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Half* target)
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var half = Float16.Narrow(_value.As<T, uint>());
        Vector256.Narrow(half, half).GetLower().Store((ushort*)target);
    }

    // Rounds to nearest even as BFloat16 does. NaN becomes the quiet NaN, because rounding its bits could give infinity.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(BFloat16* target)
    {
        var rounded = Vector256.ShiftRightLogical(Round<BFloat16>(this)._value.As<T, uint>(), 16);
        var number = Vector256.Equals(_value, _value).As<T, uint>();
        rounded = Vector256.ConditionalSelect(number, rounded, Vector256.Create(0x7FC0u));
        Vector256.Narrow(rounded, rounded).GetLower().Store((ushort*)target);
    }
}
