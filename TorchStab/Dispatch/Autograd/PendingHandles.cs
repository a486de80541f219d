using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// What a thread hands to C++ and what C++ hands to it. The gradients that a callback returned are copied on its own thread as soon as it is over, so
/// the memory that they are returned in belongs to the thread: a node's would be written by all passes that go through it.
/// Where <see cref="TensorOwnership"/> cannot hand the handles over they are released later: at the thread's next callback or recorded op, or when a node goes.
/// </summary>
internal sealed unsafe class PendingHandles
{
    private const int Inputs = 3;

    [ThreadStatic]
    private static PendingHandles? t_own;

    private readonly nint* _returned, _taken;
    private Handles _handles;

    private PendingHandles()
    {
        Slot = (nint*)NativeMemory.AllocZeroed(1 + (2 * Inputs), (nuint)sizeof(nint));
        _returned = Slot + 1;
        _taken = _returned + Inputs;
    }

    ~PendingHandles()
    {
        Release();
        NativeMemory.Free(Slot);
    }

    public static PendingHandles Own => t_own ??= new PendingHandles();

    /// <summary>A place where C++ may write one handle.</summary>
    public nint* Slot { get; }

    /// <summary>What a callback returns: a gradient, or 0, for each input that there was. Takes the gradients over; those of the callback before are released already.</summary>
    public HandleArray Return(NodeState state, in Handles gradients)
    {
        int count = 0;
        Put(count++, gradients.Input);
        if (state.HasWeight) Put(count++, gradients.Weight);
        if (state.HasBias) Put(count++, gradients.Bias);
        if (!TensorOwnership.IsProven) _handles = gradients;
        return new() { Items = _returned, Count = count };
    }

    public void Release()
    {
        _handles.Dispose();
        _handles = default;
    }

    private void Put(int place, nint gradient)
    {
        _returned[place] = gradient;
        if (gradient == 0 || !TensorOwnership.IsProven) return;
        _taken[place] = TensorOwnership.Take(gradient);
        _returned[place] = (nint)(_taken + place);
    }
}
