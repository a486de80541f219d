using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Asks Linux to use pages of 2 MiB for a new large output. glibc maps a new block for each allocation of 32 MiB or more. Page faults of 4 KiB each then take
/// several times as long as the arithmetic; faults of 2 MiB take a fifth of that. This applies only if the system lets programs choose ("madvise", the usual
/// setting). The kernels write the whole block, so huge pages use no additional memory. Setting <c>TorchStab.HugePages</c> = auto | off (see
/// <see cref="Setting"/>).
/// </summary>
internal static unsafe class HugePages
{
    /// <summary>The maximum of glibc's dynamic threshold for mapping a block. glibc reuses smaller blocks after they are freed.</summary>
    public const long LeastBytes = 32L << 20;

    /// <summary>Up to this many threads, one thread clears new pages as fast as all of them.</summary>
    private const int FewThreads = 4;

    private const long Page = 2L << 20, SmallPage = 4096;
    private const int AdviseHugePage = 14, PopulateWrite = 23; // MADV_HUGEPAGE and MADV_POPULATE_WRITE of <sys/mman.h>
    private const string Policy = "/sys/kernel/mm/transparent_hugepage/enabled";

    private static readonly nint Library = Setting.Read("HugePages", HugePagesMode.Auto) == HugePagesMode.Auto && IsLeftToPrograms() ? Load() : 0;

    private static readonly delegate* unmanaged<void*, nuint, int, int> Madvise = (delegate* unmanaged<void*, nuint, int, int>)Export("madvise");

    private static readonly delegate* unmanaged<void*, nuint, byte*, int> Mincore = (delegate* unmanaged<void*, nuint, byte*, int>)Export("mincore");

    /// <summary>Whether the system is asked for huge pages.</summary>
    public static bool IsActive => Madvise != null;

    /// <summary>Asks for huge pages for those parts of a block that fill whole huge pages. The result is ignored, because a refusal only costs time.</summary>
    public static void Advise(void* block, long bytes)
    {
        if (Madvise == null) return;
        long first = ((long)block + Page - 1) / Page * Page, last = ((long)block + bytes) / Page * Page;
        if (last > first) Madvise((void*)first, (nuint)(last - first), AdviseHugePage);
    }

    /// <summary>
    /// Makes this thread allocate the pages of an advised block at once, if the block is new and there are few threads. On a virtual machine two threads that
    /// clear huge pages delay each other: 32 MiB took 5 ms at one time and 20 ms at another, but always 5 ms with one thread.
    /// </summary>
    public static void Populate(void* block, long bytes)
    {
        if (Madvise == null || Mincore == null || bytes < LeastBytes || LibTorch.ThreadCount() > FewThreads) return;
        long first = (long)block / SmallPage * SmallPage, last = ((long)block + bytes + SmallPage - 1) / SmallPage * SmallPage;
        byte resident = 0;
        if (Mincore((void*)((first + last) / 2 / SmallPage * SmallPage), 1, &resident) != 0 || (resident & 1) != 0) return;
        Madvise((void*)first, (nuint)(last - first), PopulateWrite);
    }

    private static bool IsLeftToPrograms()
    {
        try
        {
            return OperatingSystem.IsLinux() && File.Exists(Policy) && File.ReadAllText(Policy).Contains("[madvise]", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static nint Load() => NativeLibrary.TryLoad("libc.so.6", out nint libc) || NativeLibrary.TryLoad("libc", out libc) ? libc : 0;

    private static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;
}

/// <summary>Whether large outputs ask for huge pages.</summary>
internal enum HugePagesMode
{
    Auto,
    Off,
}
