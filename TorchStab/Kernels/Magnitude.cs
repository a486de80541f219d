using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// The range of second moments for which a kernel can compute in T: the moment, its square and the cube of the inverse deviation stay in T's range. Outside
/// it, squares of finite values overflow to infinity or underflow to zero. A kernel reports such values, and the op is then repeated in tensor operations of
/// a wider range.
/// </summary>
internal static class Magnitude<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>2⁻⁶⁰ and 2⁸⁰ for float: deviations from 1e-9 to 1e12. 2⁻⁶⁰⁰ and 2⁶⁰⁰ for double: from 1e-90 to 1e90.</summary>
    public static double Least
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(T) == typeof(float) ? 8.673617379884035e-19 : 2.409919865102884e-181;
    }

    /// <inheritdoc cref="Least"/>
    public static double Most
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(T) == typeof(float) ? 1.2089258196146292e24 : 4.149515568880993e180;
    }

    /// <summary>Whether a variance (or mean square) plus eps is in the range; false for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(double variance) => variance >= Least && variance <= Most;

    /// <summary>The largest finite number of T. <see cref="LeastNormal"/> is its smallest number with full precision.</summary>
    private static double Largest
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue;
    }

    private static double LeastNormal
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(T) == typeof(float) ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
    }

    // The largest 1/σ for which underflowed products are negligible: the exact result would be about as small, and lose precision too. With the default eps,
    // 1/σ is always smaller.
    private const double BringsBack = 1024;

    /// <summary>
    /// Whether y = (x − High)·Scale + Offset is correct if it is finite: x − mean does not overflow, and weight/σ neither overflows nor underflows. Also true
    /// if the channel's numbers themselves are not finite, because a wider type would not help.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(in Affine<T> terms, double mean, double inverseDeviation, double weight, double bias) =>
        (IsOrdinary(terms.Scale) && T.IsFinite(terms.Offset) && Math.Abs(mean) <= Largest / 2)
        || HoldsRare(terms.Scale, terms.Offset, mean, inverseDeviation, weight, bias);

    /// <summary>
    /// Whether Σd and Σd·(x − mean) of <paramref name="count"/> terms, added in T, are correct: they did not overflow, and no products underflowed that 1/σ
    /// would make large again. A sum of zero is correct if all d are zero or all x are equal. That is common (channels after a dead relu), so it must not
    /// trigger the slow path.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HoldsSums(double sum, double dot, double variance, double inverseDeviation, double count) => double.IsFinite(sum) && double.IsFinite(dot)
        && (inverseDeviation <= BringsBack || Math.Abs(dot) >= count * LeastNormal || (dot == 0 && (sum == 0 || variance == 0)));

    /// <summary>
    /// Whether dx = scale·(d − mean(d) − x̂·mean(d·x̂)) can be computed with these coefficients: none is infinite, none underflowed if its product matters,
    /// and the sum of the last two terms stays finite for any x̂, which is at most √count.
    /// </summary>
    public static bool HoldsSlope(in Slope<T> slope, double scale, double mean, double dot, double count)
    {
        double through = Math.Abs(scale * dot);
        return T.IsFinite(slope.Scale) && T.IsFinite(slope.Rate) && T.IsFinite(slope.Constant) && !Vanishes(slope.Rate, through)
            && !Vanishes(slope.Scale, scale * Math.Max(Math.Abs(mean), Math.Abs(dot))) && HoldsTotal(count * (through + Math.Abs(scale * mean)));
    }

    /// <summary>Whether an upper bound of a sum is finite in T; false for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HoldsTotal(double bound) => bound <= Largest / 2;

    // A call in every channel would cost as much as normalizing it: this is what is asked in place.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsOrdinary(T factor)
    {
        double magnitude = Math.Abs(double.CreateTruncating(factor));
        return magnitude >= LeastNormal && magnitude <= Largest;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool HoldsRare(T scale, T offset, double mean, double inverseDeviation, double weight, double bias)
    {
        if (T.IsFinite(scale) && T.IsFinite(offset) && Math.Abs(mean) <= Largest / 2 && !Vanishes(scale, weight)) return true;
        return !(double.IsFinite(mean) && double.IsFinite(inverseDeviation) && double.IsFinite(weight) && double.IsFinite(bias));
    }

    // Whether a factor underflowed although the product would have full precision.
    private static bool Vanishes(T factor, double product) => Math.Abs(double.CreateTruncating(factor)) < LeastNormal && Math.Abs(product) >= LeastNormal;

    /// <summary>
    /// Sets the flag if the elements are finite. The mean in double of float elements is finite if and only if they are. For double elements the mean may
    /// itself overflow, so the flag is always set.
    /// </summary>
    public static unsafe void Report(int* extreme, double mean)
    {
        if (extreme != null && (typeof(T) == typeof(double) || double.IsFinite(mean))) *extreme = 1;
    }
}
