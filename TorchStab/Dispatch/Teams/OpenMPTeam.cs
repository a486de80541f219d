using System.Globalization;
using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Runs jobs on libtorch's own OpenMP team, by calling GOMP_parallel of the libgomp that libtorch loaded. A dispatch costs 0.6 µs while the team's threads
/// are awake, as they are after a libtorch operation. Items are divided evenly into one contiguous range per thread, so each thread reads its own part of
/// memory, and the same part in the next pass.
/// </summary>
internal static unsafe class OpenMPTeam
{
    /// <summary>Worker threads run managed code, which needs more stack than libtorch's loops. A smaller stack could overflow and end the process.</summary>
    private const long LeastStack = 512 * 1024;

    private static readonly nint Library = Find();

    private static readonly delegate* unmanaged<delegate* unmanaged<Job*, void>, Job*, uint, uint, void> Parallel =
        (delegate* unmanaged<delegate* unmanaged<Job*, void>, Job*, uint, uint, void>)Export("GOMP_parallel");

    private static readonly delegate* unmanaged[SuppressGCTransition]<int> ThreadNumber =
        (delegate* unmanaged[SuppressGCTransition]<int>)Export("omp_get_thread_num");

    private static readonly delegate* unmanaged[SuppressGCTransition]<int> Threads =
        (delegate* unmanaged[SuppressGCTransition]<int>)Export("omp_get_num_threads");

    private static readonly delegate* unmanaged[SuppressGCTransition]<int> InParallel =
        (delegate* unmanaged[SuppressGCTransition]<int>)Export("omp_in_parallel");

    /// <summary>The reason why the team cannot be used; null if it can.</summary>
    public static string? Obstacle { get; } =
        Parallel == null || ThreadNumber == null || Threads == null || InParallel == null ? "the process has no libgomp (libtorch's OpenMP library, on Linux)"
        : SmallStack("OMP_STACKSIZE") ?? SmallStack("GOMP_STACKSIZE");

    public static bool IsAvailable => Obstacle is null;

    private struct Job
    {
        public delegate*<void*, int, int, void> Body;
        public void* Context;
        public int Items;
        public nint Failure;
    }

    public static void Run(delegate*<void*, int, int, void> body, void* context, int items, int threads)
    {
        if (InParallel() != 0)
        {
            body(context, 0, items);
            return;
        }
        var job = new Job { Body = body, Context = context, Items = items };
        Parallel(&Part, &job, (uint)threads, 0);
        ParallelTeam.ThrowRecorded(job.Failure);
    }

    [UnmanagedCallersOnly]
    private static void Part(Job* job)
    {
        try
        {
            // The team may be smaller than requested (OMP_THREAD_LIMIT), so its size is read here.
            long thread = ThreadNumber(), threads = Threads();
            int first = (int)(job->Items * thread / threads), last = (int)(job->Items * (thread + 1) / threads);
            if (first < last) job->Body(job->Context, first, last);
        }
        catch (Exception e)
        {
            ParallelTeam.Record(ref job->Failure, e);
        }
    }

    // libgomp's syntax: a number, then B, K (the default), M or G. For anything else libgomp prints a warning and uses its default size.
    private static string? SmallStack(string variable)
    {
        string text = (Environment.GetEnvironmentVariable(variable) ?? "").Trim().ToUpperInvariant();
        int shift = text.Length == 0 ? 0 : text[^1] switch { 'B' => 0, 'M' => 20, 'G' => 30, _ => 10 };
        return long.TryParse(text.TrimEnd('B', 'K', 'M', 'G').TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            && number < LeastStack >> shift ? $"{variable} leaves its threads less than {LeastStack >> 10} KiB of stack" : null;
    }

    private static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;

    // The package's libgomp has a hash in its file name, and a second libgomp may be loaded. libtorch's is the one in libtorch's folder.
    private static nint Find()
    {
        if (!OperatingSystem.IsLinux() || !LibTorch.IsAvailable) return 0;
        try
        {
            string[] mapped = [.. File.ReadLines("/proc/self/maps").Select(PathOf).Where(p => p.Length > 0).Distinct()];
            string? home = Path.GetDirectoryName(mapped.FirstOrDefault(p => Path.GetFileName(p).StartsWith("libtorch_cpu", StringComparison.Ordinal)));
            string[] found = [.. mapped.Where(p => Path.GetFileName(p).StartsWith("libgomp", StringComparison.Ordinal))];
            string? path = found.FirstOrDefault(p => Path.GetDirectoryName(p) == home) ?? found.FirstOrDefault();
            return path is not null && NativeLibrary.TryLoad(path, out nint library) ? library : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    // A line is: address perms offset dev inode path. The path is the rest of the line and may contain spaces.
    private static string PathOf(string line)
    {
        int slash = line.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? "" : line[slash..];
    }
}
