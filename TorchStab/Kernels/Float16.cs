using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace TorchStab.Kernels;

/// <summary>
/// Conversions between float16 and float by integer operations, because .NET has no instruction for them. A float has 13 more bits of mantissa, and an
/// exponent that is larger by 112. A subnormal float16 is converted by an addition whose result has the same unit in the last place, so that no operand
/// is a subnormal float, which a thread may flush to zero.
/// </summary>
internal static class Float16
{
    private const uint One = 1u << 23, Rebias = 112u << 23, LeastNormalBits = 113u << 23, HalfBits = 126u << 23;

    /// <summary>One less than half a unit in the last place, with the exponent of float16.</summary>
    private const uint RoundAndRebias = unchecked(0xFFF - Rebias);
    private const uint NaN = 0x7E00, Infinity = 0x7C00;

    /// <summary>2⁻¹⁴, the smallest normal float16.</summary>
    private const float LeastNormal = 6.103515625e-5f;

    /// <summary>The bits of a float from those of a float16, in the lower half of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> Widen(Vector128<uint> half)
    {
        var magnitude = (half & Vector128.Create(0x7FFFu)) << 13;
        var normal = magnitude + Vector128.Create(Rebias);
        var subnormal = ((normal + Vector128.Create(One)).AsSingle() - Vector128.Create(LeastNormal)).AsUInt32();
        var signed = magnitude.AsInt32();
        var bits = Vector128.ConditionalSelect(Vector128.GreaterThan(signed, Vector128.Create(0x0F7FFFFF)).AsUInt32(),
            normal + Vector128.Create(Rebias), normal);
        bits = Vector128.ConditionalSelect(Vector128.LessThan(signed, Vector128.Create((int)One)).AsUInt32(), subnormal, bits);
        return bits | ((half & Vector128.Create(0x8000u)) << 16);
    }

    /// <summary>The bits of the nearest float16, ties to even, in the lower half of each lane; too large a number becomes infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> Narrow(Vector128<uint> bits)
    {
        var magnitude = bits & Vector128.Create(0x7FFFFFFFu);
        var signed = magnitude.AsInt32();
        var normal = (magnitude + ((magnitude >> 13) & Vector128<uint>.One) + Vector128.Create(RoundAndRebias)) >> 13;
        var subnormal = (magnitude.AsSingle() + Vector128.Create(0.5f)).AsUInt32() - Vector128.Create(HalfBits);
        var special = Vector128.ConditionalSelect(Vector128.GreaterThan(signed, Vector128.Create(0x7F800000)).AsUInt32(), Vector128.Create(NaN),
            Vector128.Create(Infinity));
        var half = Vector128.ConditionalSelect(Vector128.GreaterThan(signed, Vector128.Create(0x477FFFFF)).AsUInt32(), special, normal);
        half = Vector128.ConditionalSelect(Vector128.LessThan(signed, Vector128.Create((int)LeastNormalBits)).AsUInt32(), subnormal, half);
        return half | ((bits >> 16) & Vector128.Create(0x8000u));
    }

    /// <inheritdoc cref="Widen(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Widen(Vector256<uint> half)
    {
        var magnitude = (half & Vector256.Create(0x7FFFu)) << 13;
        var normal = magnitude + Vector256.Create(Rebias);
        var subnormal = ((normal + Vector256.Create(One)).AsSingle() - Vector256.Create(LeastNormal)).AsUInt32();
        var signed = magnitude.AsInt32();
        var bits = Vector256.ConditionalSelect(Vector256.GreaterThan(signed, Vector256.Create(0x0F7FFFFF)).AsUInt32(),
            normal + Vector256.Create(Rebias), normal);
        bits = Vector256.ConditionalSelect(Vector256.LessThan(signed, Vector256.Create((int)One)).AsUInt32(), subnormal, bits);
        return bits | ((half & Vector256.Create(0x8000u)) << 16);
    }

    /// <inheritdoc cref="Narrow(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Narrow(Vector256<uint> bits)
    {
        var magnitude = bits & Vector256.Create(0x7FFFFFFFu);
        var signed = magnitude.AsInt32();
        var normal = (magnitude + ((magnitude >> 13) & Vector256<uint>.One) + Vector256.Create(RoundAndRebias)) >> 13;
        var subnormal = (magnitude.AsSingle() + Vector256.Create(0.5f)).AsUInt32() - Vector256.Create(HalfBits);
        var special = Vector256.ConditionalSelect(Vector256.GreaterThan(signed, Vector256.Create(0x7F800000)).AsUInt32(), Vector256.Create(NaN),
            Vector256.Create(Infinity));
        var half = Vector256.ConditionalSelect(Vector256.GreaterThan(signed, Vector256.Create(0x477FFFFF)).AsUInt32(), special, normal);
        half = Vector256.ConditionalSelect(Vector256.LessThan(signed, Vector256.Create((int)LeastNormalBits)).AsUInt32(), subnormal, half);
        return half | ((bits >> 16) & Vector256.Create(0x8000u));
    }

    /// <inheritdoc cref="Widen(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Widen(Vector512<uint> half)
    {
        var magnitude = (half & Vector512.Create(0x7FFFu)) << 13;
        var normal = magnitude + Vector512.Create(Rebias);
        var subnormal = ((normal + Vector512.Create(One)).AsSingle() - Vector512.Create(LeastNormal)).AsUInt32();
        var signed = magnitude.AsInt32();
        var bits = Vector512.ConditionalSelect(Vector512.GreaterThan(signed, Vector512.Create(0x0F7FFFFF)).AsUInt32(),
            normal + Vector512.Create(Rebias), normal);
        bits = Vector512.ConditionalSelect(Vector512.LessThan(signed, Vector512.Create((int)One)).AsUInt32(), subnormal, bits);
        return bits | ((half & Vector512.Create(0x8000u)) << 16);
    }

    /// <inheritdoc cref="Narrow(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Narrow(Vector512<uint> bits)
    {
        var magnitude = bits & Vector512.Create(0x7FFFFFFFu);
        var signed = magnitude.AsInt32();
        var normal = (magnitude + ((magnitude >> 13) & Vector512<uint>.One) + Vector512.Create(RoundAndRebias)) >> 13;
        var subnormal = (magnitude.AsSingle() + Vector512.Create(0.5f)).AsUInt32() - Vector512.Create(HalfBits);
        var special = Vector512.ConditionalSelect(Vector512.GreaterThan(signed, Vector512.Create(0x7F800000)).AsUInt32(), Vector512.Create(NaN),
            Vector512.Create(Infinity));
        var half = Vector512.ConditionalSelect(Vector512.GreaterThan(signed, Vector512.Create(0x477FFFFF)).AsUInt32(), special, normal);
        half = Vector512.ConditionalSelect(Vector512.LessThan(signed, Vector512.Create((int)LeastNormalBits)).AsUInt32(), subnormal, half);
        return half | ((bits >> 16) & Vector512.Create(0x8000u));
    }
}
