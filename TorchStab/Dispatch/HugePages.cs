using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Asks Linux to back a new large output with pages of 2 MiB. glibc maps a block from 32 MiB on anew for each call, and faulting it in
/// 4 KiB by 4 KiB takes several times as long as the arithmetic; by 2 MiB a fifth. Only where the system leaves the choice to the
/// program ("madvise", the usual setting). All of the block is written at once, so it takes no more memory. Setting
/// <c>TorchStab.HugePages</c> = auto | off (see <see cref="Setting"/>).
/// </summary>
internal static unsafe class HugePages
{
    /// <summary>The most that glibc's threshold for a mapping of its own grows to: smaller blocks it keeps and hands out again.</summary>
    public const long LeastBytes = 32L << 20;

    /// <summary>Up to so many threads one is as good as all at clearing new pages.</summary>
    private const int FewThreads = 4;

    private const long Page = 2L << 20, SmallPage = 4096;
    private const int AdviseHugePage = 14, PopulateWrite = 23; // MADV_HUGEPAGE and MADV_POPULATE_WRITE of <sys/mman.h>
    private const string Policy = "/sys/kernel/mm/transparent_hugepage/enabled";

    private static readonly nint Library = Setting.Read("HugePages", HugePagesMode.Auto) == HugePagesMode.Auto && IsLeftToPrograms() ? Load() : 0;

    private static readonly delegate* unmanaged<void*, nuint, int, int> Madvise = (delegate* unmanaged<void*, nuint, int, int>)Export("madvise");

    private static readonly delegate* unmanaged<void*, nuint, byte*, int> Mincore = (delegate* unmanaged<void*, nuint, byte*, int>)Export("mincore");

    /// <summary>Whether advice is given.</summary>
    public static bool IsActive => Madvise != null;

    /// <summary>Advises for the whole huge pages inside a block; a refusal changes nothing.</summary>
    public static void Advise(void* block, long bytes)
    {
        if (Madvise == null) return;
        long first = ((long)block + Page - 1) / Page * Page, last = ((long)block + bytes) / Page * Page;
        if (last > first) Madvise((void*)first, (nuint)(last - first), AdviseHugePage);
    }

    /// <summary>
    /// Faults an advised block in at once, by this thread, where it is new and threads are few. Two threads that each clear huge pages of their own were
    /// seen to hold each other up on a virtual machine: 5 ms for 32 MiB in one minute and 20 in the next, where one thread always takes 5.
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
