using MathNet.Numerics.Distributions;

namespace Gallery;

/// <summary>Where a mean lies, as far as its few values tell: Student's t interval.</summary>
internal sealed record Interval(double Low, double High)
{
    /// <summary>The share of such intervals that hold the true mean, where values are normally distributed.</summary>
    public const double Level = 0.95;

    /// <summary>Mean ± t · s / √n with n − 1 degrees of freedom.</summary>
    /// <returns>Null for fewer than two values, or where one is not finite: then nothing can be said.</returns>
    public static Interval? Of(IReadOnlyList<double> values)
    {
        if (values.Count < 2 || values.Any(v => !double.IsFinite(v))) return null;
        var measured = new Measured(values);
        double half = Quantile(values.Count - 1) * measured.Deviation / Math.Sqrt(values.Count);
        return new Interval(measured.Mean - half, measured.Mean + half);
    }

    /// <summary>How many standard errors the interval reaches to each side.</summary>
    public static double Quantile(int degreesOfFreedom) => StudentT.InvCDF(0, 1, degreesOfFreedom, (1 + Level) / 2);
}
