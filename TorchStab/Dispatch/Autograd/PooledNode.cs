using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// A node of the autograd graph whose backward pass is ours. Its two callbacks carry no data of their own, so each node owns a pair of
/// delegates for good. C++ owns the node while a graph holds it, and calls <see cref="Deleted"/> when the last one lets go.
/// </summary>
/// <remarks>
/// Callbacks run on any thread, <see cref="Apply"/> on several at once where they share a graph, and <see cref="Deleted"/> within another node's. Nothing
/// may leave them by exception, so they take no lock that can be interrupted and call no code of the user's.
/// </remarks>
internal sealed unsafe class PooledNode
{
    [ThreadStatic]
    private static PooledNode? t_deleted;

    [ThreadStatic]
    private static bool t_releases;

    private readonly ApplyCallback _apply;
    private readonly DeletedCallback _deleted;
    private readonly nint _applyAddress, _deletedAddress;
    private readonly SavedInputs _saved = new();
    private NodeHandle _node;

    public PooledNode(PooledPlug plug)
    {
        State = new NodeState(plug, this);
        _apply = Apply;
        _deleted = Deleted;
        _applyAddress = Marshal.GetFunctionPointerForDelegate(_apply);
        _deletedAddress = Marshal.GetFunctionPointerForDelegate(_deleted);
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate HandleArray ApplyCallback(nint* gradients, int count);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void DeletedCallback();

    public NodeState State { get; }

    /// <summary>The next one in the list that this node stands in: of those that wait to be used, or of those that a thread has to release.</summary>
    public PooledNode? Next { get; set; }

    /// <summary>Creates the native node. Where that succeeds <see cref="Close"/> follows, whatever comes in between.</summary>
    public void Open()
    {
        _node = AutogradLibrary.CreateNode(_applyAddress, _deletedAddress);
        LibTorch.Made(_node.Weak);
    }

    /// <summary>Makes the node the origin of a tensor, with edges to the graphs of the inputs; the allocator receives a new handle to the tensor.</summary>
    public void Attach(nint input, nint weight, nint bias, nint output, delegate* unmanaged<nuint, nint*> allocate)
    {
        nint* inputs = stackalloc nint[3];
        int count = 0;
        inputs[count++] = input;
        if (State.HasWeight) inputs[count++] = weight;
        if (State.HasBias) inputs[count++] = bias;
        AutogradLibrary.SetNextEdges(_node, new() { Items = inputs, Count = count }, 1);
        LibTorch.CheckForErrors();
        _saved.Save(State, _node, input, weight, bias);
        AutogradLibrary.WrapOutputs(default, default, default, new() { Items = &output, Count = 1 }, _node, allocate);
        LibTorch.CheckForErrors();
        State.IsAttached = true;
    }

    /// <summary>Leaves the node to the graph; where nothing was attached to it, C++ deletes it at once.</summary>
    public void Close() => AutogradLibrary.ReleaseShared(_node);

    // Called by libtorch's engine. A wrong number of gradients makes the engine raise in C++, which is what reaches the caller of backward() as an exception.
    private HandleArray Apply(nint* outputGradients, int count)
    {
        Handles gradients = default;
        try
        {
            var pending = PendingHandles.Own;
            pending.Release();
            if (outputGradients[0] != 0) Differentiate(outputGradients[0], ref gradients);
            return pending.Return(State, gradients);
        }
        catch (Exception e)
        {
            gradients.Dispose();
            BackwardFailure.Note(State.Op, e);
            return default;
        }
        finally
        {
            for (int i = 0; i < count; i++)
                if (outputGradients[i] != 0) LibTorch.Dispose(outputGradients[i]);
        }
    }

    private void Differentiate(nint outputGradient, ref Handles gradients)
    {
        var saved = _saved.Unpack(State.Op, _node);
        try
        {
            BackwardPass.Run(State, outputGradient, saved, ref gradients);
            if (AutogradLibrary.FreesGraph) _saved.ForgetInput();
        }
        finally
        {
            saved.Dispose();
        }
    }

    // What a node saved may be all that holds the node before it, and so on through the whole graph: released here, each would be deleted within the
    // other's callback, and a deep graph would end the stack. So the outermost callback of a thread releases for all that come meanwhile.
    private void Deleted()
    {
        Next = t_deleted;
        t_deleted = this;
        if (t_releases) return;
        t_releases = true;
        while (t_deleted is { } node)
        {
            t_deleted = node.Next;
            node.Release();
        }
        t_releases = false;
        if (!TensorOwnership.IsProven) PendingHandles.Own.Release();
    }

    private void Release()
    {
        _saved.Release();
        AutogradLibrary.ReleaseWeak(_node);
        if (State.IsAttached) PooledPlug.Recycle(this); // otherwise the call that could not attach it gives it back
    }
}
