using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>Settings of glibc's memory allocator (mallopt).</summary>
internal static unsafe class GlibcAllocator
{
    private const int TrimThreshold = -1, TopPad = -2, MmapThreshold = -3; // <malloc.h>
    private const int MiB = 1 << 20;

    /// <summary>
    /// Makes glibc allocate large blocks on the heap instead of mapping them, and keep freed memory at the heap's top; false if the C library is not glibc.
    /// </summary>
    public static bool KeepFreedMemory()
    {
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad("libc.so.6", out nint libc)) return false;
        if (!NativeLibrary.TryGetExport(libc, "gnu_get_libc_version", out _) || !NativeLibrary.TryGetExport(libc, "mallopt", out nint address)) return false;
        var mallopt = (delegate* unmanaged<int, int, int>)address;
        // glibc before 2.35 rejects a mapping threshold above 32 MiB.
        bool mapped = mallopt(MmapThreshold, 1024 * MiB) != 0 || mallopt(MmapThreshold, 32 * MiB) != 0;
        return mapped && mallopt(TrimThreshold, int.MaxValue) != 0 && mallopt(TopPad, 64 * MiB) != 0;
    }
}
