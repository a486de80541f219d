using TorchStab.Dispatch;

namespace TorchStab;

/// <summary>Settings of the memory allocator that libtorch uses, and the memory that TorchStab keeps for outputs.</summary>
/// <remarks>
/// Norms on the CPU keep the memory of their outputs and input gradients from 1 MiB on for the next ones of the same size, so that it is not mapped and cleared
/// page by page at every call. What is kept never exceeds what was in use at once by more than one output, and is given back when no norm ran for about five
/// seconds. The environment variable <c>TORCHSTAB_OUTPUTPOOL=off</c> (or the AppContext value <c>TorchStab.OutputPool</c>) turns this off; by default it is on.
/// </remarks>
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

    /// <summary>What the pool of output memory holds now; all 0 while it is switched off. Any thread may ask.</summary>
    public static OutputPoolStatistics OutputPoolStatistics => OutputPool.Shared?.Statistics() ?? default;

    /// <summary>
    /// Gives back at once the memory that is kept for outputs and that no tensor uses, as <c>torch.cuda.empty_cache</c> does on a GPU. Tensors are not
    /// affected. Any thread may call it, at any time.
    /// </summary>
    public static void EmptyOutputPool() => OutputPool.Shared?.GiveUpFree();
}
