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

    private const long Page = 2L << 20;
    private const int AdviseHugePage = 14; // MADV_HUGEPAGE of <sys/mman.h>
    private const string Policy = "/sys/kernel/mm/transparent_hugepage/enabled";

    private static readonly delegate* unmanaged<void*, nuint, int, int> Madvise =
        Setting.Read("HugePages", HugePagesMode.Auto) == HugePagesMode.Auto && IsLeftToPrograms() ? Find() : null;

    /// <summary>Whether advice is given.</summary>
    public static bool IsActive => Madvise != null;

    /// <summary>Advises for the whole huge pages inside a block; a refusal changes nothing.</summary>
    public static void Advise(void* block, long bytes)
    {
        if (Madvise == null) return;
        long first = ((long)block + Page - 1) / Page * Page, last = ((long)block + bytes) / Page * Page;
        if (last > first) Madvise((void*)first, (nuint)(last - first), AdviseHugePage);
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

    private static delegate* unmanaged<void*, nuint, int, int> Find() =>
        NativeLibrary.TryLoad("libc", out nint libc) && NativeLibrary.TryGetExport(libc, "madvise", out nint address)
        || NativeLibrary.TryLoad("libc.so.6", out libc) && NativeLibrary.TryGetExport(libc, "madvise", out address)
            ? (delegate* unmanaged<void*, nuint, int, int>)address : null;
}

/// <summary>Whether large outputs ask for huge pages.</summary>
internal enum HugePagesMode
{
    Auto,
    Off,
}
