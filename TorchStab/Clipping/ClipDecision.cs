namespace TorchStab.Clipping;

/// <summary>What a rule decided about a set of gradients: measured once, applied by whoever reads the gradients next.</summary>
/// <param name="TotalNorm">The norm before clipping.</param>
/// <param name="Coefficient">The smallest factor that any element is multiplied by; 1 if nothing is clipped.</param>
/// <param name="Common">What happens to every gradient, unless there is one for <paramref name="Each"/>; without the averaging over accumulated passes.</param>
/// <param name="Each">One for each gradient, or null.</param>
internal readonly record struct ClipDecision(double TotalNorm, double Coefficient, GradientCoefficient Common, GradientCoefficient[]? Each = null)
{
    /// <summary>NaN counts: a gradient multiplied by NaN is not the one that came.</summary>
    public bool Clipped => Coefficient != 1;

    public GradientCoefficient this[int i] => Each is null ? Common : Each[i];

    public static ClipDecision Uniform(double totalNorm, double scale) => new(totalNorm, scale, new(scale));

    public static ClipDecision PerGradient(double totalNorm, IReadOnlyList<double> scales)
    {
        double smallest = 1;
        foreach (double s in scales) smallest = Math.Min(smallest, s);
        return new(totalNorm, smallest, GradientCoefficient.Identity, [.. scales.Select(s => new GradientCoefficient(s))]);
    }
}
