namespace TorchStab.Tests.Support;

/// <summary>How long the tests that look for what piles up run: 20,000 steps with TORCHSTAB_SOAK=1, a short form else.</summary>
internal static class Soak
{
    public static bool IsFull { get; } = Environment.GetEnvironmentVariable("TORCHSTAB_SOAK") == "1";

    public static int Steps(int inShort) => IsFull ? 20_000 : inShort;

    /// <summary>What the process holds of the machine's memory, after a collection.</summary>
    public static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return Environment.WorkingSet;
    }
}
