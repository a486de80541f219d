using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Which second moments the arithmetic of T is good for: neither it, its square nor the cube of the inverse deviation leaves T's range. Beyond it
/// squares of finite values overflow to infinity, or vanish. A kernel reports such values, and the op is done again in a wider form.
/// </summary>
internal static class Magnitude<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>2⁻⁶⁰ and 2⁸⁰ for float: deviations from 1e-9 to 1e12. 2⁻⁶⁰⁰ and 2⁶⁰⁰ for double: from 1e-90 to 1e90.</summary>
    public static double Least => typeof(T) == typeof(float) ? 8.673617379884035e-19 : 2.409919865102884e-181;

    /// <inheritdoc cref="Least"/>
    public static double Most => typeof(T) == typeof(float) ? 1.2089258196146292e24 : 4.149515568880993e180;

    /// <summary>Whether a variance (or mean square) with eps added is within; false for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(double variance) => variance >= Least && variance <= Most;

    /// <summary>Sets the flag for finite elements. A mean in double of float elements is finite if they are; of double ones nobody can tell from it.</summary>
    public static unsafe void Report(int* extreme, double mean)
    {
        if (extreme != null && (typeof(T) == typeof(double) || double.IsFinite(mean))) *extreme = 1;
    }
}
