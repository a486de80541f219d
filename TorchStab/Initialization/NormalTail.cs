using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// The part of a normal distribution between two bounds that hold little of it, in float64. Beyond the mean Φ is so close to 0 or 1 that its
/// differences are lost, so the upper tail Q(x) = 1 − Φ(x) is inverted instead: itself while a double holds it, and further out its ratio
/// Q(low + t)/Q(low), as an exponential variate (Robert 1995 takes the first term and rejects).
/// </summary>
internal static class NormalTail
{
    private const double FarOut = 30;

    /// <summary>Fills a float64 tensor. <paramref name="quantiles"/> are 2Φ − 1 of the bounds.</summary>
    public static void Draw(Tensor tensor, double mean, double std, (double a, double b) bounds, (double low, double high) quantiles, Generator? generator)
    {
        if (bounds.a < mean && bounds.b > mean)
        {
            // A sliver around the mean, where Φ itself is resolved.
            Uniform.Draw(tensor, quantiles.low, quantiles.high, generator).erfinv_().mul_(std * Math.Sqrt(2.0)).add_(mean);
            return;
        }

        bool right = bounds.a >= mean;
        double low = (right ? bounds.a - mean : mean - bounds.b) / std, width = (bounds.b - bounds.a) / std;
        Uniform.Draw(tensor, 0, 1, generator);
        if (double.IsInfinity(low)) tensor.zero_(); // all of it is at the bound
        else if (width * (low + 1) < 1e-6) tensor.mul_(width); // the density is the same all over
        else if (low > FarOut) Ratio(tensor, low, width);
        else Inverse(tensor, low, width);
        if (right) tensor.mul_(std).add_(bounds.a);
        else tensor.mul_(-std).add_(bounds.b);
    }

    /// <summary>Turns uniform numbers u into distances t from a bound at <paramref name="low"/> ≥ 0: Q(low + t) = Q(low) − u·(Q(low) − Q(low + width)).</summary>
    private static void Inverse(Tensor u, double low, double width)
    {
        // By erfc, which keeps its digits; ndtr of libtorch is 0 from 9 on.
        var tails = special.erfc(tensor(new[] { low, low + width }, device: CPU).div_(Math.Sqrt(2))).data<double>();
        u.copy_(-special.ndtri(u.mul_((tails[1] - tails[0]) / 2).add_(tails[0] / 2))).sub_(low);
    }

    /// <summary>
    /// The same by −log(Q(low + t)/Q(low)) = low·t + t²/2 − log(m(low + t)/m(low)), where m is Mills' ratio Q/φ: it keeps its digits at any distance. The left
    /// side is an exponential variate e, cut off at the width; e/low is right of the solution of a convex function, and Newton's steps come down.
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
