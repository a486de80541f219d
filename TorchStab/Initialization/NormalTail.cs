using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>
/// Draws, in float64, from the part of a normal distribution between two bounds that contain little of it. In a tail, Φ is so close to 0 or 1 that
/// differences of Φ lose all precision. So this class inverts the upper tail Q(x) = 1 − Φ(x) where a double can represent Q, and further out the ratio
/// Q(low + t)/Q(low), with an exponential variate (Robert 1995 uses its first term and rejection).
/// </summary>
internal static class NormalTail
{
    private const double FarOut = 30;

    /// <summary>Fills a float64 tensor. <paramref name="quantiles"/> are 2Φ − 1 of the bounds.</summary>
    public static void Draw(Tensor tensor, double mean, double std, (double a, double b) bounds, (double low, double high) quantiles, Generator? generator)
    {
        if (bounds.a < mean && bounds.b > mean)
        {
            // A narrow interval around the mean, where Φ is accurate.
            Uniform.Draw(tensor, quantiles.low, quantiles.high, generator).erfinv_().mul_(Held(std * Math.Sqrt(2.0))).add_(Held(mean), One);
            return;
        }

        bool right = bounds.a >= mean;
        double low = (right ? bounds.a - mean : mean - bounds.b) / std, width = (bounds.b - bounds.a) / std;
        Uniform.Draw(tensor, 0, 1, generator);
        if (double.IsInfinity(low)) tensor.zero_(); // the distribution is concentrated at the bound
        else if (width * (low + 1) < 1e-6) tensor.mul_(Held(width)); // the density is constant over the interval
        else if (low > FarOut) Ratio(tensor, low, width);
        else Inverse(tensor, low, width);
        if (right) tensor.mul_(Held(std)).add_(Held(bounds.a), One);
        else tensor.mul_(Held(-std)).add_(Held(bounds.b), One);
    }

    /// <summary>
    /// Turns uniform numbers u into distances t from a bound at <paramref name="low"/> ≥ 0: Q(low + t) = Q(low) − u·(Q(low) − Q(low + width)).
    /// </summary>
    private static void Inverse(Tensor u, double low, double width)
    {
        // By erfc, which is accurate in the tail; libtorch's ndtr is 0 from 9 on.
        var tails = special.erfc(tensor(new[] { low, low + width }, device: CPU).div_(Held(Math.Sqrt(2)))).data<double>();
        u.copy_(-special.ndtri(u.mul_(Held((tails[1] - tails[0]) / 2)).add_(Held(tails[0] / 2), One))).sub_(Held(low));
    }

    /// <summary>
    /// Does the same by solving −log(Q(low + t)/Q(low)) = low·t + t²/2 − log(m(low + t)/m(low)) for t. Here m is Mills' ratio Q/φ, which is accurate at any
    /// distance, and the left side is an exponential variate e, truncated at the width. The right side is convex in t and e/low is above its solution, so
    /// Newton's method converges from there.
    /// </summary>
    private static void Ratio(Tensor u, double low, double width)
    {
        using var end = full(1, Math.Min(width, 1e3), ScalarType.Float64, CPU); // e is at most 37, and t at most 37/low
        var e = u.mul(Math.Exp(-Exponent(end, low).item<double>()) - 1).log1p_().neg_();
        u.copy_(e / low);
        for (int i = 0; i < 4; i++)
        {
            using var scope = NewDisposeScope();
            u.sub_((Exponent(u, low) - e) * Mills(u + low)); // 1/m is the derivative
        }
    }

    private static Tensor Exponent(Tensor t, double low) => t * low + t.square() / 2 - (Mills(t + low) / Mills(zeros_like(t) + low)).log();

    /// <summary>Q(x)/φ(x) by its asymptotic series; beyond 30 the next term is below 2·10⁻¹⁰.</summary>
    private static Tensor Mills(Tensor x)
    {
        var inverse = x.reciprocal();
        var square = inverse.square();
        return inverse * (1 - square * (1 - square * (3 - square * 15)));
    }
}
