using TorchStab.Dispatch;

namespace TorchStab;

/// <summary>How the process gives memory to libtorch.</summary>
public static class Memory
{
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
    public static bool TuneAllocator() => GlibcAllocator.KeepFreedMemory();
}
