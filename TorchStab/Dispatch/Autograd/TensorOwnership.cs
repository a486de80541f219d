using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Transfers ownership of a gradient to C++. LibTorchSharp copies the gradients that a node's callback returned after the callback has ended, but it never
/// frees their handles. A remaining handle makes autograd copy the gradient of a leaf instead of storing it, and keeps memory that the rest of the pass could
/// use. So this class frees the handle and lowers the tensor's reference count by one; LibTorchSharp's copy raises it again directly afterwards.
/// </summary>
/// <remarks>
/// A handle is the address of a C++ <c>Tensor</c>, whose only member points to the tensor object. The object starts with its virtual table and its reference
/// count. That layout is not a public interface, so <see cref="IsProven"/> is true only if a test saw a tensor's count at that address change with the number
/// of its handles. Otherwise <see cref="PendingHandles"/> keeps the handles and releases them later.
/// </remarks>
internal static unsafe class TensorOwnership
{
    // The tensor that a handle points to when it is freed, so that freeing the handle cannot delete the gradient. It is never released.
    private static readonly nint StandIn = MakeStandIn();

    /// <summary>Whether reference counts are at the expected address.</summary>
    public static bool IsProven { get; } = StandIn != 0 && Prove();

    /// <summary>Frees the handle but not the tensor. The next C++ copy of the returned value owns the handle's reference.</summary>
    /// <returns>The pointer that the C++ <c>Tensor</c> contained.</returns>
    public static nint Take(nint handle)
    {
        nint tensor = *(nint*)handle;
        Interlocked.Increment(ref *Count(StandIn));
        *(nint*)handle = *(nint*)StandIn;
        LibTorch.Dispose(handle);
        Interlocked.Decrement(ref *(int*)(tensor + sizeof(nint)));
        return tensor;
    }

    private static int* Count(nint handle) => (int*)(*(nint*)handle + sizeof(nint));

    private static nint MakeStandIn()
    {
        if (!LibTorch.IsAvailable || !BitConverter.IsLittleEndian) return 0;
        using var one = zeros(1, device: CPU);
        return NewTensor.Like(one.Handle);
    }

    private static bool Prove()
    {
        const int handles = 5;
        nint* others = stackalloc nint[handles];
        bool proven = *Count(StandIn) == 1;
        for (int i = 0; i < handles; i++)
        {
            others[i] = LibTorch.Alias(StandIn);
            proven &= *(nint*)others[i] == *(nint*)StandIn && *Count(StandIn) == i + 2;
        }
        for (int i = 0; i < handles; i++)
        {
            LibTorch.Dispose(others[i]);
            proven &= *Count(StandIn) == handles - i;
        }
        return proven;
    }
}
