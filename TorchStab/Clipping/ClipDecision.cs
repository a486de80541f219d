namespace TorchStab.Clipping;

/// <summary>What a rule decided about a set of gradients: measured once, applied by whoever reads the gradients next.</summary>
/// <param name="TotalNorm">The norm before clipping.</param>
/// <param name="Coefficient">The smallest factor that any element is multiplied by; 1 if nothing is clipped.</param>
/// <param name="Coefficients">One for each gradient, without the averaging over accumulated passes.</param>
internal sealed record ClipDecision(double TotalNorm, double Coefficient, GradientCoefficient[] Coefficients)
{
    /// <summary>NaN counts: a gradient multiplied by NaN is not the one that came.</summary>
    public bool Clipped => Coefficient != 1;

    public static ClipDecision Uniform(double totalNorm, double scale, int count)
    {
        var coefficients = new GradientCoefficient[count];
        Array.Fill(coefficients, new GradientCoefficient(scale));
        return new(totalNorm, scale, coefficients);
    }

    public static ClipDecision PerGradient(double totalNorm, IReadOnlyList<double> scales)
    {
        double smallest = 1;
        foreach (double s in scales) smallest = Math.Min(smallest, s);
        return new(totalNorm, smallest, [.. scales.Select(s => new GradientCoefficient(s))]);
    }
}
