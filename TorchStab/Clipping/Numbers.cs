namespace TorchStab.Clipping;

/// <summary>Checks the numbers that a rule is made of.</summary>
internal static class Numbers
{
    /// <summary>A threshold must be a number ≥ 0: a negative one would reverse the gradients.</summary>
    public static double Threshold(double value, string name) => value >= 0 ? value
        : throw new ArgumentException($"expected a threshold of at least 0, got {Repr.Of(value)}; a negative one would reverse the gradients", name);

    /// <summary>
    /// The largest value of an option. Up to it, the product of two options, and an option divided by 1 − β, are finite in float32. Infinite ones
    /// would turn finite gradients into NaN (0 · ∞, ∞ − ∞).
    /// </summary>
    public const double Largest = 1e18;

    /// <summary>A number that tensors are multiplied by or compared with: an infinite one would turn zeros into NaN.</summary>
    public static double Finite(double value, string name) => value is >= 0 and <= Largest ? value
        : throw new ArgumentException($"expected a number of at least 0 and at most {Repr.Of(Largest)}, got {Repr.Of(value)}", name);

    public static double Order(double value, string name) => !double.IsNaN(value) ? value
        : throw new ArgumentException("expected the order of a norm: a number or infinity, got nan", name);
}
