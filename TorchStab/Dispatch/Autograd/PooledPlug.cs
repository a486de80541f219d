using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Records ops with nodes from a pool: the forward pass rents a node, fills it in and attaches it to the graph, and it returns to the pool when libtorch
/// deletes its native node. C++ holds the addresses of a node's callbacks, so nodes are never garbage collected. Their number is the largest number of
/// recorded calls that existed at the same time.
/// </summary>
internal sealed unsafe class PooledPlug : IAutogradPlug
{
    private static int s_gate, s_created, s_idle;
    private static PooledNode? s_free;

    /// <summary>The number of nodes, in use or free.</summary>
    public static int Created => s_created;

    /// <summary>The number of free nodes.</summary>
    public static int Idle => s_idle;

    /// <summary>Returns a node that is in no graph to the pool.</summary>
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
        var pending = PendingHandles.OfThisThread;
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
            LibTorch.Dispose(output); // WrapOutputs made another handle to the same tensor
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
        _ = GCHandle.Alloc(node); // never freed
        Interlocked.Increment(ref s_created);
        return node;
    }

    // C++ writes the handle of the one output into this memory.
    [UnmanagedCallersOnly]
    private static nint* Allocate(nuint count) => PendingHandles.OfThisThread.Slot;
}
