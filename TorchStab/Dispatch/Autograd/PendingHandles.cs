using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// A thread's memory for handles that it exchanges with C++. After a callback has ended, C++ copies the gradients that it returned, on the same thread. So
/// the memory of returned gradients belongs to the thread and not to the node: several threads may run the same node at once. If
/// <see cref="TensorOwnership"/> cannot transfer the handles, they are released later: at the thread's next callback or recorded op, or when a node is
/// deleted.
/// </summary>
internal sealed unsafe class PendingHandles
{
    private const int Inputs = 3;

    [ThreadStatic]
    private static PendingHandles? t_ofThisThread;

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

    public static PendingHandles OfThisThread => t_ofThisThread ??= new PendingHandles();

    /// <summary>Memory in which C++ may write one handle.</summary>
    public nint* Slot { get; }

    /// <summary>
    /// Builds a callback's result: a gradient, or 0, for each input of the call. Takes ownership of the gradients. The caller has already released those of
    /// the previous callback.
    /// </summary>
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
