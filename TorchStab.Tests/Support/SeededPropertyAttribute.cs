using System.Globalization;
using FsCheck.Xunit;

namespace TorchStab.Tests.Support;

/// <summary>
/// A property whose arguments are the same in every run: what a commit passed, it passes again. TORCHSTAB_SEED=random draws others each time (the
/// weekly run), and TORCHSTAB_SEED=(a,b) those of a failure that printed (a,b).
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SeededPropertyAttribute : PropertyAttribute
{
    private const string Fixed = "(20261128,17)"; // the second must be odd: FsCheck's generator takes it as its increment

    /// <summary>Whether this run draws other numbers than the last.</summary>
    public static bool IsRandom => Environment.GetEnvironmentVariable("TORCHSTAB_SEED") == "random";

    public SeededPropertyAttribute() => Replay = Environment.GetEnvironmentVariable("TORCHSTAB_SEED") switch
    {
        null or "" => Fixed,
        "random" => string.Create(CultureInfo.InvariantCulture, $"({Random.Shared.NextInt64()},{Random.Shared.NextInt64() | 1})"),
        string seed => seed,
    };
}
