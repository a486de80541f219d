using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// A node of the autograd graph whose backward pass is a callback into C#. C++ passes no user data to its two callbacks, so each node has its own pair of
/// delegates for the life of the process. The graph owns the native node, and C++ calls <see cref="Deleted"/> when the last reference is gone.
/// </summary>
/// <remarks>
/// Callbacks run on any thread: <see cref="Apply"/> on several at once if they share a graph, and <see cref="Deleted"/> also inside the callback of another
/// node. No exception may leave them, so they take no lock that can be interrupted and call no user code.
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

    /// <summary>The next node in the list that contains this node: the list of free nodes, or a thread's list of nodes to release.</summary>
    public PooledNode? Next { get; set; }

    /// <summary>Creates the native node. If it succeeds, the caller must call <see cref="Close"/>, also after an exception.</summary>
    public void Open()
    {
        _node = AutogradLibrary.CreateNode(_applyAddress, _deletedAddress);
        LibTorch.Made(_node.Weak);
    }

    /// <summary>
    /// Makes the node the <c>grad_fn</c> of a tensor, with edges to the graphs of the inputs. C++ writes a new handle to the tensor into the allocator's
    /// memory.
    /// </summary>
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

    /// <summary>Gives up this class's ownership of the node. If no tensor was attached to it, C++ deletes it at once.</summary>
    public void Close() => AutogradLibrary.ReleaseShared(_node);

    // Called by libtorch's engine. To report a failure it returns a wrong number of gradients. The engine then raises a C++ exception, which TorchSharp
    // rethrows to the caller of backward().
    private HandleArray Apply(nint* outputGradients, int count)
    {
        Handles gradients = default;
        try
        {
            var pending = PendingHandles.OfThisThread;
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

    // A node's saved tensors may be the only references to the node before it, and so on through the whole graph. If each callback released its own tensors,
    // the callbacks would nest, and a deep graph would overflow the stack. So the outermost callback of a thread releases the tensors of all nodes that are
    // deleted meanwhile.
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
        if (!TensorOwnership.IsProven) PendingHandles.OfThisThread.Release();
    }

    private void Release()
    {
        _saved.Release();
        AutogradLibrary.ReleaseWeak(_node);
        if (State.IsAttached) PooledPlug.Recycle(this); // otherwise the call that failed to attach it returns it to the pool
    }
}
