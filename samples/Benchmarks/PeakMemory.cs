using System.Globalization;

namespace TorchStab.Benchmarks;

/// <summary>Resident memory at its highest during a piece of work, beyond what was there before: native and managed. Linux only.</summary>
internal static class PeakMemory
{
    private const string Status = "/proc/self/status", ClearRefs = "/proc/self/clear_refs";

    /// <summary>Bytes; null where the system does not tell.</summary>
    public static long? Of(Action work)
    {
        try
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            File.WriteAllText(ClearRefs, "5"); // sets the high-water mark back to what is resident now
            long before = Read("VmHWM:");
            work();
            return Read("VmHWM:") - before;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // "VmHWM:     123456 kB"
    private static long Read(string field) => 1024 * long.Parse(
        File.ReadLines(Status).First(line => line.StartsWith(field, StringComparison.Ordinal))[field.Length..^2].Trim(), CultureInfo.InvariantCulture);
}
