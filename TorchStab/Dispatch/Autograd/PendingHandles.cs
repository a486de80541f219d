using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Handles that a thread's callbacks returned to C++. It copies what they point to after the callback is over, so where <see cref="TensorOwnership"/> cannot
/// hand them over they are released later: at the thread's next callback or recorded op, or when a node goes.
/// </summary>
internal sealed unsafe class PendingHandles
{
    [ThreadStatic]
    private static PendingHandles? t_own;

    private Handles _handles;

    private PendingHandles()
    {
    }

    ~PendingHandles()
    {
        Release();
        NativeMemory.Free(Slot);
    }

    public static PendingHandles Own => t_own ??= new PendingHandles();

    /// <summary>A place where C++ may write one handle.</summary>
    public nint* Slot { get; } = (nint*)NativeMemory.AllocZeroed(1, (nuint)sizeof(nint));

    /// <summary>Takes over the gradients of one callback; those of the one before are released already.</summary>
    public void Add(in Handles gradients) => _handles = gradients;

    public void Release()
    {
        Release(ref _handles.Input);
        Release(ref _handles.Weight);
        Release(ref _handles.Bias);
    }

    private static void Release(ref nint handle)
    {
        if (handle != 0) LibTorch.Dispose(handle);
        handle = 0;
    }
}
