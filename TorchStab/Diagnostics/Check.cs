namespace TorchStab.Diagnostics;

/// <summary>What options refuse.</summary>
internal static class Check
{
    public static int AtLeastOne(int value, string name) => value >= 1 ? value
        : throw new ArgumentException(FormattableString.Invariant($"expected at least 1, got {value}"), name);

    /// <summary>A threshold is any number; infinity turns its verdict off, where NaN would do so without a word.</summary>
    public static double NotNaN(double value, string name) => double.IsNaN(value) ? throw new ArgumentException("expected a number, got NaN", name) : value;

    public static double Share(double value, string name) => value is >= 0 and <= 1 ? value
        : throw new ArgumentException(FormattableString.Invariant($"expected a share from 0 to 1, got {value}"), name);
}
