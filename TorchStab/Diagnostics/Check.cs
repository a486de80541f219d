namespace TorchStab.Diagnostics;

/// <summary>What options refuse.</summary>
internal static class Check
{
    public static int AtLeastOne(int value, string name) => value >= 1 ? value
        : throw new ArgumentException($"expected at least 1, got {value}", name);
}
