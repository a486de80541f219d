namespace TorchStab.Clipping;

/// <summary>What a rule decided about a set of gradients. The rule measures once; the code that reads the gradients next applies the decision.</summary>
/// <param name="TotalNorm">The norm before clipping.</param>
/// <param name="Coefficient">The smallest factor that any element is multiplied by; 1 if nothing is clipped.</param>
/// <param name="Common">The coefficient of every gradient where <paramref name="Each"/> is null; the average over accumulated passes is not part of it.</param>
/// <param name="Each">A coefficient for each gradient; null if all share <paramref name="Common"/>.</param>
internal readonly record struct ClipDecision(double TotalNorm, double Coefficient, GradientCoefficient Common, GradientCoefficient[]? Each = null)
{
    /// <summary>Whether the decision changes a gradient. A NaN factor counts as clipped.</summary>
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
