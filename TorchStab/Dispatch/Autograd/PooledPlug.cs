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
    private static readonly object Gate = new();
    private static readonly List<PooledNode> All = [];
    private static readonly Stack<PooledNode> Free = [];

    /// <summary>How many nodes there are, in use or not.</summary>
    public static int Created => All.Count;

    /// <summary>How many nodes wait to be used.</summary>
    public static int Idle => Free.Count;

    /// <summary>Takes back a node that is in no graph.</summary>
    public static void Recycle(PooledNode node)
    {
        node.State.Recycle();
        lock (Gate) Free.Push(node);
    }

    public NodeState Rent()
    {
        lock (Gate)
        {
            if (Free.TryPop(out var idle)) return idle.State;
            var node = new PooledNode();
            All.Add(node);
            return node.State;
        }
    }

    public void Return(NodeState state) => Recycle(state.Node!);

    public Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output)
    {
        var node = state.Node!;
        var pending = PendingHandles.Own;
        pending.Release();
        node.Open(input.Handle, weight?.Handle ?? 0, bias?.Handle ?? 0);
        try
        {
            node.Wrap(output, &Allocate);
            return Tensor.UnsafeCreateTensor(*pending.Slot);
        }
        finally
        {
            LibTorch.Dispose(output); // the wrapped handle is another one to the same tensor
            node.Close();
            GC.KeepAlive(input);
            GC.KeepAlive(weight);
            GC.KeepAlive(bias);
        }
    }

    // C++ writes the handle of the one output here.
    [UnmanagedCallersOnly]
    private static nint* Allocate(nuint count) => PendingHandles.Own.Slot;
}
