using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>Native memory for one job. Each thread keeps a block of moderate size for its next job; larger blocks are freed.</summary>
internal sealed unsafe class Scratch
{
    private const long KeptBytes = 4L << 20;
    private const int Alignment = 64;

    [ThreadStatic]
    private static Scratch? t_ofThisThread;

    private void* _block;
    private long _bytes;

    ~Scratch() => NativeMemory.AlignedFree(_block);

    /// <summary>
    /// Returns uninitialized memory, aligned to a cache line. The caller gives it back with <see cref="Return"/>. A thread must not rent a second block
    /// before it has returned the first.
    /// </summary>
    public static void* Rent(long bytes)
    {
        if (bytes > KeptBytes) return NativeMemory.AlignedAlloc((nuint)bytes, Alignment);
        var own = t_ofThisThread ??= new Scratch();
        if (bytes <= own._bytes) return own._block;
        NativeMemory.AlignedFree(own._block);
        own._bytes = Math.Max(bytes, 4096);
        return own._block = NativeMemory.AlignedAlloc((nuint)own._bytes, Alignment);
    }

    public static void Return(void* block)
    {
        if (t_ofThisThread is null || t_ofThisThread._block != block) NativeMemory.AlignedFree(block);
    }
}
