using System.Runtime.InteropServices;

namespace TorchStab;

/// <summary>How the process gives memory to libtorch.</summary>
public static unsafe class Memory
{
    private const int TrimThreshold = -1, TopPad = -2, MmapThreshold = -3; // <malloc.h>
    private const int MiB = 1 << 20;

    /// <summary>
    /// Lets glibc keep freed memory instead of giving it back to the system, so that large activations are not mapped, zeroed and
    /// unmapped page by page at every call. Speeds up every libtorch operation with outputs above a megabyte or so, the more the larger.
    /// Call it once, before the first large tensor.
    /// </summary>
    /// <remarks>
    /// The cost: the process's memory (RSS) stays at its peak until it exits. Process-wide: it concerns all native code. Opt-in for that reason;
    /// nothing else in TorchStab calls it. Environment variables <c>MALLOC_MMAP_THRESHOLD_</c>, <c>MALLOC_TRIM_THRESHOLD_</c> and
    /// <c>MALLOC_TOP_PAD_</c> do the same from outside.
    /// </remarks>
    /// <returns>Whether it took effect; false, with nothing changed, where the C library is not glibc (Windows, macOS, Alpine).</returns>
    public static bool TuneAllocator()
    {
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad("libc.so.6", out nint libc)) return false;
        if (!NativeLibrary.TryGetExport(libc, "gnu_get_libc_version", out _) || !NativeLibrary.TryGetExport(libc, "mallopt", out nint address)) return false;
        var mallopt = (delegate* unmanaged<int, int, int>)address;
        // glibc before 2.35 refuses a mapping threshold above 32 MiB.
        bool mapped = mallopt(MmapThreshold, 1024 * MiB) != 0 || mallopt(MmapThreshold, 32 * MiB) != 0;
        return mapped && mallopt(TrimThreshold, int.MaxValue) != 0 && mallopt(TopPad, 64 * MiB) != 0;
    }
}
