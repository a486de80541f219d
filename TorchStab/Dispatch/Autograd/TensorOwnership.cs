using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Hands a tensor over to C++ with its reference. LibTorchSharp copies the gradients that a node's callback returned once the callback is over, and nobody
/// frees the handles that they were returned in. A handle that lives on makes autograd copy the gradient of a leaf instead of taking it over, and holds memory
/// that the rest of the pass could use: so the handle is freed here, and the tensor's count lowered by the reference that the copy adds at once.
/// </summary>
/// <remarks>
/// A handle is the address of a C++ <c>Tensor</c>, whose only member points to the object; the object starts with its table of methods and the count of
/// references. That is no published interface: <see cref="IsProven"/> is true only where a tensor's count was seen there going up and down with its handles.
/// Elsewhere handles wait in <see cref="PendingHandles"/>.
/// </remarks>
internal static unsafe class TensorOwnership
{
    // Takes a tensor's place in a handle that is freed. Lives as long as the process.
    private static readonly nint StandIn = MakeStandIn();

    /// <summary>Whether counts lie where they are expected.</summary>
    public static bool IsProven { get; } = StandIn != 0 && Prove();

    /// <summary>Frees the handle but not the tensor. Whoever copies the tensor next from where the result is kept owns what the handle did.</summary>
    /// <returns>What the C++ <c>Tensor</c> consisted of.</returns>
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
