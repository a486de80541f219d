namespace TorchStab.Clipping;

/// <summary>Numbers in messages as Python writes them (1.0, inf, nan): the texts are PyTorch's and Keras's.</summary>
internal static class Numbers
{
    /// <summary>A threshold must be a number ≥ 0: a negative one would turn the gradients round.</summary>
    public static double Threshold(double value, string name) => value >= 0 ? value
        : throw new ArgumentException($"expected a threshold of at least 0, got {Repr.Of(value)}; a negative one would reverse the gradients", name);

    /// <summary>
    /// The largest option: products of two options, and one of them divided by 1 − β, are still numbers in float32. Beyond it 0 · ∞ and
    /// ∞ − ∞ make NaN of finite gradients.
    /// </summary>
    public const double Largest = 1e18;

    /// <summary>A factor or a length that tensors are computed with: an infinite one would make NaN of zeros.</summary>
    public static double Finite(double value, string name) => value is >= 0 and <= Largest ? value
        : throw new ArgumentException($"expected a number of at least 0 and at most {Repr.Of(Largest)}, got {Repr.Of(value)}", name);

    public static double Order(double value, string name) => !double.IsNaN(value) ? value
        : throw new ArgumentException("expected the order of a norm: a number or infinity, got nan", name);
}
