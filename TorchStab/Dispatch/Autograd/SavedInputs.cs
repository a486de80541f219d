namespace TorchStab.Dispatch;

/// <summary>
/// The inputs that a node saved. Backward passes of several threads may run one node at once, so a gate guards the saved variables (libtorch's own nodes have
/// a mutex each). Each pass owns the handles that it unpacked.
/// </summary>
internal sealed unsafe class SavedInputs
{
    private Handles _saved;
    private int _gate;

    /// <summary>Saves the weight and, if the op needs them, the input and the bias.</summary>
    /// <exception cref="InvalidOperationException">libtorch refuses to save one of them.</exception>
    public void Save(NodeState state, NodeHandle node, nint input, nint weight, nint bias)
    {
        if (state.Op.NeedsInput) _saved.Input = Save(input, node);
        if (state.HasWeight) _saved.Weight = Save(weight, node);
        if (state.HasBias && state.Op.NeedsBias) _saved.Bias = Save(bias, node);
    }

    /// <summary>Returns new handles to the saved tensors. The caller disposes them with <see cref="Handles.Dispose"/>.</summary>
    /// <exception cref="InvalidOperationException">A tensor was changed in place, or an earlier backward pass released it: libtorch's message after the
    /// tensor's name.</exception>
    public Handles Unpack(GraphOp op, NodeHandle node)
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

    /// <summary>Releases the input, which is as large as an activation. A later <see cref="Unpack(GraphOp, NodeHandle)"/> is autograd's usual error.</summary>
    public void ForgetInput()
    {
        SpinGate.Enter(ref _gate);
        if (_saved.Input != 0) AutogradLibrary.ForgetSaved(_saved.Input);
        SpinGate.Exit(ref _gate);
    }

    /// <summary>Releases all saved tensors. No backward pass can run afterwards.</summary>
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

    // Autograd refuses to save a tensor made in inference mode, because such a tensor has no version counter that would show a change in place. A copy can be
    // saved. Second derivatives would not pass through the copy, so a tensor that requires a gradient is an error.
    private static nint SaveCopy(nint tensor, NodeHandle node)
    {
        nint copy = LibTorch.Clone(tensor);
        nint saved = AutogradLibrary.Save(copy, node, 0);
        string? error = saved == 0 ? AutogradLibrary.TakeError() : null;
        LibTorch.Dispose(copy);
        return error is null ? saved : throw new InvalidOperationException(error);
    }

    private static nint Unpack(nint saved, NodeHandle node, GraphOp op, string name)
    {
        nint tensor = AutogradLibrary.Unpack(saved, node);
        return tensor != 0 ? tensor : throw new InvalidOperationException($"{op.Name}'s {name}: {AutogradLibrary.TakeError()}");
    }

    private static void Release(nint saved)
    {
        if (saved != 0) AutogradLibrary.ReleaseSaved(saved);
    }
}
