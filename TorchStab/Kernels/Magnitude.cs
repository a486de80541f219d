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

    /// <summary>The largest number, and the smallest that has all its digits.</summary>
    private static double Largest => typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue;

    private static double LeastNormal => typeof(T) == typeof(float) ? 1.1754943508222875e-38 : 2.2250738585072014e-308;

    // 1/σ from which on lost products count: with a smaller one the result would have lost its last digits too. No σ of the default eps comes so far.
    private static double BringsBack => 1024;

    /// <summary>
    /// Whether y = (x − High)·Scale + Offset is right wherever it is finite: x − mean does not overflow, nor does weight/σ, which must not vanish either.
    /// True where the channel's own numbers are not finite: nothing helps there.
    /// </summary>
    public static bool Holds(in Affine<T> terms, double mean, double inverseDeviation, double weight, double bias)
    {
        if (T.IsFinite(terms.Scale) && T.IsFinite(terms.Offset) && Math.Abs(mean) <= Largest / 2 && !Vanishes(terms.Scale, weight)) return true;
        return !(double.IsFinite(mean) && double.IsFinite(inverseDeviation) && double.IsFinite(weight) && double.IsFinite(bias));
    }

    /// <summary>
    /// Whether Σd and Σd·(x − mean) of so many terms, added in T, are what they should be: neither did they overflow, nor have products of small numbers
    /// vanished that 1/σ would bring back. Zero is right where all d are zero, or all x are equal: channels behind a dead relu are common, and no rare case.
    /// </summary>
    public static bool HoldsSums(double sum, double dot, double variance, double inverseDeviation, double count) => double.IsFinite(sum) && double.IsFinite(dot)
        && (inverseDeviation <= BringsBack || Math.Abs(dot) >= count * LeastNormal || (dot == 0 && (sum == 0 || variance == 0)));

    /// <summary>
    /// Whether dx = scale·(d − mean(d) − x̂·mean(d·x̂)) can be computed with these coefficients: none is infinite or has vanished beside what it is multiplied
    /// with, and x̂, which is at most √count, can't carry the sum of the last two beyond T.
    /// </summary>
    public static bool HoldsSlope(in Slope<T> slope, double scale, double mean, double dot, double count)
    {
        double through = Math.Abs(scale * dot);
        return T.IsFinite(slope.Scale) && T.IsFinite(slope.Rate) && T.IsFinite(slope.Constant) && !Vanishes(slope.Rate, through)
            && !Vanishes(slope.Scale, scale * Math.Max(Math.Abs(mean), Math.Abs(dot))) && HoldsTotal(count * (through + Math.Abs(scale * mean)));
    }

    /// <summary>Whether a bound of what is added up is finite in T; false for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HoldsTotal(double bound) => bound <= Largest / 2;

    // A factor without all its digits, where the product would have them.
    private static bool Vanishes(T factor, double product) => Math.Abs(double.CreateTruncating(factor)) < LeastNormal && Math.Abs(product) >= LeastNormal;

    /// <summary>Sets the flag for finite elements. A mean in double of float elements is finite if they are; of double ones nobody can tell from it.</summary>
    public static unsafe void Report(int* extreme, double mean)
    {
        if (extreme != null && (typeof(T) == typeof(double) || double.IsFinite(mean))) *extreme = 1;
    }
}
