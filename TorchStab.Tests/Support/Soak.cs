using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>How long the tests that look for what piles up run: 20,000 steps with TORCHSTAB_SOAK=1, a short form else.</summary>
internal static class Soak
{
    public static bool IsFull { get; } = Environment.GetEnvironmentVariable("TORCHSTAB_SOAK") == "1";

    public static int Steps(int inShort) => IsFull ? 20_000 : inShort;

    /// <summary>
    /// Runs the steps once over to warm up (the collector's youngest generation grows to its budget meanwhile, over ten thousand small steps), then four times
    /// a quarter of them; asserts that no tensor is left and that the process at no time holds 10 MB more than before.
    /// </summary>
    /// <param name="step">One step; gets its number.</param>
    /// <param name="steps">How many.</param>
    /// <returns>The most that the process grew by, in bytes.</returns>
    public static long AssertFlat(Action<int> step, int steps)
    {
        for (int i = 0; i < steps; i++) step(i);
        long memory = ResidentBytes(), tensors = Tensor.TotalCount, most = 0;
        for (int part = 0; part < 4; part++)
        {
            for (int i = 0; i < steps / 4; i++) step(i);
            most = Math.Max(most, ResidentBytes() - memory);
        }
        Assert.True(Tensor.TotalCount <= tensors, $"{Tensor.TotalCount - tensors} tensors left");
        Assert.True(most < 10 << 20, $"grew by {most >> 10} kB");
        return most;
    }

    /// <summary>Bytes of garbage that a call makes on this thread.</summary>
    public static long Allocated(Action call)
    {
        for (int i = 0; i < 100; i++) call();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++) call();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / 1000;
    }

    /// <summary>What the process holds of the machine's memory, after a collection that gives back what the collector kept for later.</summary>
    public static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Environment.WorkingSet;
    }
}
