namespace TorchStab.Dispatch;

/// <summary>
/// What a node saved of its inputs. Backward passes of several threads may go through one node at once (libtorch's own nodes have a mutex each), so a
/// gate guards the saved variables; what was unpacked belongs to the pass that did it.
/// </summary>
internal sealed unsafe class SavedInputs
{
    private Handles _saved;
    private int _gate;

    /// <summary>Saves the weight and, where the op needs them, the input and the bias.</summary>
    /// <exception cref="InvalidOperationException">libtorch refuses to save one of them.</exception>
    public void Save(NodeState state, NodeHandle node, nint input, nint weight, nint bias)
    {
        if (state.Op.NeedsInput) _saved.Input = Save(input, node);
        if (state.HasWeight) _saved.Weight = Save(weight, node);
        if (state.HasBias && state.Op.NeedsBias) _saved.Bias = Save(bias, node);
    }

    /// <summary>New handles to what was saved; give them to <see cref="Handles.Dispose"/>.</summary>
    /// <exception cref="InvalidOperationException">A tensor was changed in place, or let go by an earlier backward pass: libtorch's words, and which one it is.</exception>
    public Handles Unpack(NormOp op, NodeHandle node)
    {
        Handles tensors = default;
        SpinGate.Enter(ref _gate);
        try
        {
            if (_saved.Input != 0) tensors.Input = Unpack(_saved.Input, node, op, "input");
            if (_saved.Weight != 0) tensors.Weight = Unpack(_saved.Weight, node, op, "weight");
            if (_saved.Bias != 0) tensors.Bias = Unpack(_saved.Bias, node, op, "bias");
            return tensors;
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
        finally
        {
            SpinGate.Exit(ref _gate);
        }
    }

    /// <summary>Lets go of the input, which is as large as an activation; a later <see cref="Unpack(NormOp, NodeHandle)"/> is autograd's usual error.</summary>
    public void ForgetInput()
    {
        SpinGate.Enter(ref _gate);
        if (_saved.Input != 0) AutogradLibrary.ForgetSaved(_saved.Input);
        SpinGate.Exit(ref _gate);
    }

    /// <summary>Lets go of everything; no pass can run any more.</summary>
    public void Release()
    {
        Release(_saved.Input);
        Release(_saved.Weight);
        Release(_saved.Bias);
        _saved = default;
    }

    private static nint Save(nint tensor, NodeHandle node)
    {
        bool wanted = LibTorch.RequiresGrad(tensor) != 0;
        if (!wanted && AutogradLibrary.IsInference(tensor) == true) return SaveCopy(tensor, node);
        nint saved = AutogradLibrary.Save(tensor, node, 0);
        if (saved != 0) return saved;
        string error = AutogradLibrary.TakeError();
        return wanted ? throw new InvalidOperationException(error) : SaveCopy(tensor, node);
    }

    // A tensor made in inference mode cannot be saved: it counts no changes, so one would go unseen. A copy of it can. A gradient of a gradient would not
    // pass through the copy, so a tensor that wants one is refused.
    private static nint SaveCopy(nint tensor, NodeHandle node)
    {
        nint copy = LibTorch.Clone(tensor);
        nint saved = AutogradLibrary.Save(copy, node, 0);
        string? error = saved == 0 ? AutogradLibrary.TakeError() : null;
        LibTorch.Dispose(copy);
        return error is null ? saved : throw new InvalidOperationException(error);
    }

    private static nint Unpack(nint saved, NodeHandle node, NormOp op, string name)
    {
        nint tensor = AutogradLibrary.Unpack(saved, node);
        return tensor != 0 ? tensor : throw new InvalidOperationException($"{op.Name}'s {name}: {AutogradLibrary.TakeError()}");
    }

    private static void Release(nint saved)
    {
        if (saved != 0) AutogradLibrary.ReleaseSaved(saved);
    }
}
