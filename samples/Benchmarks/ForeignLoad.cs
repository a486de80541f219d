using System.Globalization;

namespace TorchStab.Benchmarks;

/// <summary>How busy others keep the machine: processor time of the whole system without this process, in cores. 0 where /proc is missing.</summary>
internal static class ForeignLoad
{
    private const double TicksPerSecond = 100;

    public readonly record struct Mark(long Busy, long Own, long Time);

    public static Mark Start() => new(System(), Own(), Environment.TickCount64);

    public static double Since(Mark start)
    {
        double seconds = Math.Max(0.01, (Environment.TickCount64 - start.Time) / 1000.0);
        return Math.Max(0, (System() - start.Busy - (Own() - start.Own)) / TicksPerSecond / seconds);
    }

    /// <summary>Waits for a quarter of a second in which others use less than 0.15 cores; gives up after <paramref name="seconds"/>.</summary>
    public static void WaitForQuiet(double seconds, CancellationToken stop)
    {
        for (long end = Environment.TickCount64 + (long)(1000 * seconds); Environment.TickCount64 < end && !stop.IsCancellationRequested;)
        {
            var mark = Start();
            Thread.Sleep(250);
            if (Since(mark) < 0.15) return;
        }
    }

    // cpu user nice system idle iowait irq softirq steal …: all but idle and iowait.
    private static long System()
    {
        if (!File.Exists("/proc/stat")) return 0;
        long[] fields = [.. File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(Number)];
        return fields.Sum() - fields[3] - fields[4];
    }

    // pid (name) state …: utime and stime are fields 14 and 15 of the line; the name may hold spaces.
    private static long Own()
    {
        if (!File.Exists("/proc/self/stat")) return 0;
        string line = File.ReadAllText("/proc/self/stat");
        string[] fields = line[(line.LastIndexOf(')') + 2)..].Split(' ');
        return Number(fields[11]) + Number(fields[12]);
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
