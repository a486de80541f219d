using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace TorchStab.Kernels;

/// <summary>128 bits: 4 floats or 2 doubles.</summary>
internal readonly unsafe struct V128<T>(Vector128<T> value) : IVector<V128<T>, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector128<T> _value = value;

    public static int Count => Vector128<T>.Count;

    public static V128<T> Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Create(T value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Load(T* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* target) => _value.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreNonTemporal(T* target) => _value.StoreAlignedNonTemporal(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator +(V128<T> a, V128<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator -(V128<T> a, V128<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator *(V128<T> a, V128<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator /(V128<T> a, V128<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Sqrt(V128<T> a) => new(Vector128.Sqrt(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Abs(V128<T> a) => new(Vector128.Abs(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Equal(V128<T> a, V128<T> b) => new(Vector128.Equals(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> GreaterThan(V128<T> a, V128<T> b) => new(Vector128.GreaterThan(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Select(V128<T> mask, V128<T> a, V128<T> b) => new(Vector128.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> FirstLanes(int count) => typeof(T) == typeof(float)
        ? new(Vector128.LessThan(Vector128.Create(0, 1, 2, 3), Vector128.Create(count)).As<int, T>())
        : new(Vector128.LessThan(Vector128.Create(0L, 1L), Vector128.Create((long)count)).As<long, T>());

    // a if it is larger or NaN, otherwise b. If b is NaN the comparison is false, so the result is NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Max(V128<T> a, V128<T> b)
    {
        var keep = Vector128.Equals(a._value, a._value) & ~Vector128.GreaterThan(a._value, b._value);
        return new(Vector128.ConditionalSelect(keep, b._value, a._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V128<T> a) => Vector128.Sum(a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumWide(V128<T> a)
    {
        if (typeof(T) == typeof(double)) return Vector128.Sum(a._value.AsDouble());
        var (low, high) = Vector128.Widen(a._value.AsSingle());
        return Vector128.Sum(low + high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddTo(double* sums)
    {
        if (typeof(T) == typeof(double))
        {
            (Vector128.Load(sums) + _value.AsDouble()).Store(sums);
            return;
        }
        var (low, high) = Vector128.Widen(_value.AsSingle());
        (Vector128.Load(sums) + low).Store(sums);
        (Vector128.Load(sums + Vector128<double>.Count) + high).Store(sums + Vector128<double>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> MultiplyAdd(V128<T> a, V128<T> b, V128<T> c)
    {
        if (typeof(T) == typeof(float) && Fma.IsSupported)
            return new(Fma.MultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).As<float, T>());
        if (typeof(T) == typeof(double) && Fma.IsSupported)
            return new(Fma.MultiplyAdd(a._value.AsDouble(), b._value.AsDouble(), c._value.AsDouble()).As<double, T>());
        if (typeof(T) == typeof(float) && AdvSimd.IsSupported)
            return new(AdvSimd.FusedMultiplyAdd(c._value.AsSingle(), a._value.AsSingle(), b._value.AsSingle()).As<float, T>());
        if (typeof(T) == typeof(double) && AdvSimd.Arm64.IsSupported)
            return new(AdvSimd.Arm64.FusedMultiplyAdd(c._value.AsDouble(), a._value.AsDouble(), b._value.AsDouble()).As<double, T>());
        return new((a._value * b._value) + c._value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Widen(float* source)
    {
        if (typeof(T) == typeof(float)) return Load((T*)source);
        return new(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsSingle()).As<double, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Load(BFloat16* source)
    {
        if (typeof(T) == typeof(double))
            return new(Vector128.Create((double)(float)source[0], (float)source[1]).As<double, T>());
        return new(Vector128.ShiftLeft(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16()), 16).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Round<E>(V128<T> a) where E : unmanaged
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var bits = a._value.As<T, uint>();
        if (typeof(E) == typeof(Half)) return new(Float16.Widen(Float16.Narrow(bits)).As<uint, T>());
        var odd = Vector128.ShiftRightLogical(bits, 16) & Vector128<uint>.One;
        return new(((bits + odd + Vector128.Create(0x7FFFu)) & Vector128.Create(0xFFFF0000u)).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Load(Half* source)
    {
        if (typeof(T) == typeof(double))
            return new(Vector128.WidenLower(Float16.Widen(Vector128.WidenLower(Vector128.CreateScalar(*(uint*)source).AsUInt16())).AsSingle()).As<double, T>());
        return new(Float16.Widen(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16())).As<uint, T>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Half* target)
    {
        if (typeof(T) != typeof(float)) throw new NotSupportedException();
        var half = Float16.Narrow(_value.As<T, uint>());
        *(ulong*)target = Vector128.Narrow(half, half).AsUInt64().ToScalar();
    }

    // Rounds to nearest even as BFloat16 does. NaN becomes the quiet NaN, because rounding its bits could give infinity.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(BFloat16* target)
    {
        var rounded = Vector128.ShiftRightLogical(Round<BFloat16>(this)._value.As<T, uint>(), 16);
        var number = Vector128.Equals(_value, _value).As<T, uint>();
        rounded = Vector128.ConditionalSelect(number, rounded, Vector128.Create(0x7FC0u));
        *(ulong*)target = Vector128.Narrow(rounded, rounded).AsUInt64().ToScalar();
    }
}
