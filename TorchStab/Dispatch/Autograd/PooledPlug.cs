using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Records ops with nodes that are used again and again: a node is rented, filled in by the forward pass, attached to the graph,
/// and comes back when libtorch drops it. Nodes are never collected, because C++ holds the addresses of their two callbacks, so their
/// number is the largest number of recorded calls that were ever alive at once.
/// </summary>
internal sealed unsafe class PooledPlug : IAutogradPlug
{
    private static int s_gate, s_created, s_idle;
    private static PooledNode? s_free;

    /// <summary>How many nodes there are, in use or not.</summary>
    public static int Created => s_created;

    /// <summary>How many nodes wait to be used.</summary>
    public static int Idle => s_idle;

    /// <summary>Takes back a node that is in no graph.</summary>
    public static void Recycle(PooledNode node)
    {
        node.State.Recycle();
        SpinGate.Enter(ref s_gate);
        node.Next = s_free;
        s_free = node;
        s_idle++;
        SpinGate.Exit(ref s_gate);
    }

    public NodeState Rent() => (Pop() ?? Create()).State;

    public void Return(NodeState state) => Recycle(state.Node!);

    public Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output)
    {
        var node = state.Node!;
        var pending = PendingHandles.Own;
        pending.Release();
        try
        {
            node.Open();
            try
            {
                node.Attach(input.Handle, weight?.Handle ?? 0, bias?.Handle ?? 0, output, &Allocate);
            }
            finally
            {
                node.Close();
            }
            return Tensor.UnsafeCreateTensor(*pending.Slot);
        }
        finally
        {
            LibTorch.Dispose(output); // the wrapped handle is another one to the same tensor
        }
    }

    private static PooledNode? Pop()
    {
        SpinGate.Enter(ref s_gate);
        var node = s_free;
        if (node is not null)
        {
            s_free = node.Next;
            s_idle--;
        }
        SpinGate.Exit(ref s_gate);
        return node;
    }

    private PooledNode Create()
    {
        var node = new PooledNode(this);
        _ = GCHandle.Alloc(node); // for good
        Interlocked.Increment(ref s_created);
        return node;
    }

    // C++ writes the handle of the one output here.
    [UnmanagedCallersOnly]
    private static nint* Allocate(nuint count) => PendingHandles.Own.Slot;
}
