using TorchStab.Dispatch;

namespace TorchStab;

/// <summary>Settings of the memory allocator that libtorch uses.</summary>
public static class Memory
{
    /// <summary>
    /// Makes glibc keep freed memory instead of returning it to the system, so that the memory of large activations is not mapped, zeroed and unmapped page by
    /// page at every call. Speeds up every libtorch operation with outputs of more than about a megabyte; larger outputs gain more. Call it once, before the
    /// first large tensor.
    /// </summary>
    /// <remarks>
    /// The cost: the process's memory (RSS) stays at its peak until it exits. It affects all native code of the process, so nothing else in TorchStab calls it.
    /// The environment variables <c>MALLOC_MMAP_THRESHOLD_</c>, <c>MALLOC_TRIM_THRESHOLD_</c> and <c>MALLOC_TOP_PAD_</c> have the same effect.
    /// </remarks>
    /// <returns>Whether it took effect; false, with nothing changed, if the C library is not glibc (Windows, macOS, Alpine).</returns>
    public static bool TuneAllocator() => GlibcAllocator.KeepFreedMemory();
}
