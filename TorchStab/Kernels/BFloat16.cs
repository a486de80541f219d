using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>bfloat16: the upper 16 bits of a float.</summary>
internal readonly record struct BFloat16(ushort Bits)
{
    private const ushort NaN = 0x7FC0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static explicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value.Bits << 16);

    /// <summary>Rounds to nearest, ties to even: adds 0x7FFF (one less than half a unit in the last place) plus the last kept bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static explicit operator BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return new(float.IsNaN(value) ? NaN : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }
}
