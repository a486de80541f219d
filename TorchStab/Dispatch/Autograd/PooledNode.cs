using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// A node of the autograd graph whose backward pass is ours. Its two callbacks carry no data of their own, so each node owns a pair of
/// delegates for good. C++ owns the node while a graph holds it, and calls <see cref="Deleted"/> when the last one lets go.
/// </summary>
internal sealed unsafe class PooledNode
{
    private readonly ApplyCallback _apply;
    private readonly DeletedCallback _deleted;
    private readonly nint _applyAddress, _deletedAddress;
    private readonly nint* _returned = (nint*)NativeMemory.AllocZeroed(6, (nuint)sizeof(nint)), _taken;
    private NodeHandle _node;
    private Handles _saved;

    public PooledNode()
    {
        State = new NodeState { Node = this };
        _taken = _returned + 3;
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

    /// <summary>Creates the native node, with edges to the inputs' graphs, and saves the inputs.</summary>
    public void Open(nint input, nint weight, nint bias)
    {
        _node = AutogradLibrary.CreateNode(_applyAddress, _deletedAddress);
        nint* inputs = stackalloc nint[3];
        int count = 0;
        inputs[count++] = input;
        if (State.HasWeight) inputs[count++] = weight;
        if (State.HasBias) inputs[count++] = bias;
        AutogradLibrary.SetNextEdges(_node, new() { Items = inputs, Count = count }, 1);
        _saved.Input = AutogradLibrary.Save(input, _node, 0);
        if (State.HasWeight) _saved.Weight = AutogradLibrary.Save(weight, _node, 0);
        if (State.HasBias && State.Op.NeedsBias) _saved.Bias = AutogradLibrary.Save(bias, _node, 0);
    }

    /// <summary>Makes this node the origin of a tensor; the allocator receives a new handle to it.</summary>
    public void Wrap(nint output, delegate* unmanaged<nuint, nint*> allocate)
    {
        AutogradLibrary.WrapOutputs(default, default, default, new() { Items = &output, Count = 1 }, _node, allocate);
        CheckForErrors();
    }

    /// <summary>Leaves the node to the graph; where nothing was attached to it, it comes back at once.</summary>
    public void Close() => AutogradLibrary.ReleaseShared(_node);

    // Called by libtorch's engine: no exception may leave. A wrong number of gradients makes the engine raise in C++, which is what
    // reaches the caller of backward() as an exception.
    private HandleArray Apply(nint* outputGradients, int count)
    {
        var pending = PendingHandles.Own;
        try
        {
            pending.Release();
            Handles gradients = default;
            if (outputGradients[0] != 0) Differentiate(outputGradients[0], ref gradients);
            if (!TensorOwnership.IsProven) pending.Add(gradients);
            int n = 0;
            Return(n++, gradients.Input);
            if (State.HasWeight) Return(n++, gradients.Weight);
            if (State.HasBias) Return(n++, gradients.Bias);
            return new() { Items = _returned, Count = n };
        }
        catch (Exception e)
        {
            BackwardPass.Fail(State, e);
            return default;
        }
        finally
        {
            for (int i = 0; i < count; i++) Release(outputGradients[i]);
        }
    }

    private void Return(int place, nint gradient)
    {
        _returned[place] = gradient;
        if (gradient == 0 || !TensorOwnership.IsProven) return;
        _taken[place] = TensorOwnership.Take(gradient);
        _returned[place] = (nint)(_taken + place);
    }

    private void Differentiate(nint outputGradient, ref Handles gradients)
    {
        Handles saved = default;
        try
        {
            saved.Input = Unpack(_saved.Input);
            if (_saved.Weight != 0) saved.Weight = Unpack(_saved.Weight);
            if (_saved.Bias != 0) saved.Bias = Unpack(_saved.Bias);
            BackwardPass.Run(State, outputGradient, saved, ref gradients);
            if (AutogradLibrary.FreesGraph) AutogradLibrary.ForgetSaved(_saved.Input);
        }
        finally
        {
            Release(saved.Input);
            Release(saved.Weight);
            Release(saved.Bias);
        }
    }

    private nint Unpack(nint saved)
    {
        nint tensor = AutogradLibrary.Unpack(saved, _node);
        nint error = AutogradLibrary.TakeError();
        return tensor != 0 ? tensor : throw new InvalidOperationException(Marshal.PtrToStringUTF8(error) ?? "a saved tensor is gone");
    }

    private void Deleted()
    {
        ReleaseSaved(ref _saved.Input);
        ReleaseSaved(ref _saved.Weight);
        ReleaseSaved(ref _saved.Bias);
        AutogradLibrary.ReleaseWeak(_node);
        PendingHandles.Own.Release();
        PooledPlug.Recycle(this);
    }

    private static void Release(nint handle)
    {
        if (handle != 0) LibTorch.Dispose(handle);
    }

    private static void ReleaseSaved(ref nint saved)
    {
        if (saved != 0) AutogradLibrary.ReleaseSaved(saved);
        saved = 0;
    }
}
