using TorchSharp.Modules;
using TorchStab.Initialization;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public partial class ClippedOptimizer
{
    private OptimizerHelper Managed
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _inner as OptimizerHelper ?? throw new InvalidOperationException($"{_inner.GetType().Name} keeps its state in native code, out of reach.");
        }
    }

    /// <summary>The inner optimizer's options and state, by reference.</summary>
    /// <returns>A state for <see cref="load_state_dict(StateDictionary)"/>.</returns>
    /// <exception cref="InvalidOperationException">The inner optimizer's state is in native code and not accessible (LBFGS).</exception>
    public StateDictionary state_dict() => Managed.state_dict();

    /// <summary>Loads options and state into the inner optimizer.</summary>
    /// <param name="state_dict">A state that <see cref="state_dict"/> returned.</param>
    /// <exception cref="InvalidOperationException">
    /// The inner optimizer's state is not accessible (LBFGS), or a state has another shape. Nothing is changed then.
    /// </exception>
    public void load_state_dict(StateDictionary state_dict)
    {
        ArgumentNullException.ThrowIfNull(state_dict);
        RequireShapes(state_dict.State, Managed.state_dict().State);
        OrRestore(() =>
        {
            Managed.load_state_dict(state_dict);
            RequireOptions(_inner, nameof(state_dict));
        });
    }

    /// <summary>Saves the inner optimizer's state in its own format, which the inner optimizer alone can load too; the rule's memory comes after it.</summary>
    /// <inheritdoc cref="ClippingAwareOptimizer.save_state_dict(string)" path="/param"/>
    /// <inheritdoc cref="state_dict" path="/exception"/>
    public void save_state_dict(string location) => StateFile.Save(location, save_state_dict);

    /// <inheritdoc cref="save_state_dict(string)"/>
    /// <param name="writer">Receives the state.</param>
    public void save_state_dict(BinaryWriter writer)
    {
        using var turn = _guard.Enter("save_state_dict()");
        SaveInner(writer);
        Clip.SaveMemory(writer);
        _guard.Spikes.Save(writer);
    }

    private void SaveInner(BinaryWriter writer)
    {
        if (Managed is ClippingAwareOptimizer own) own.save_state_dict(writer);
        else Managed.save_state_dict(writer);
    }

    private void LoadInner(BinaryReader reader)
    {
        if (Managed is ClippingAwareOptimizer own) own.load_state_dict(reader);
        else
        {
            using var guarded = new TorchStateReader(reader, _inner.parameters());
            Managed.load_state_dict(guarded);
            TorchOptimRebinding.RequireShapes(Managed);
        }
    }

    /// <summary>
    /// Loads a file that <see cref="save_state_dict(string)"/> or the inner optimizer alone has saved. The latter does not change the rule's memory.
    /// </summary>
    /// <param name="location">The file to read.</param>
    /// <inheritdoc cref="state_dict" path="/exception"/>
    public void load_state_dict(string location)
    {
        using var reader = new BinaryReader(File.OpenRead(location));
        load_state_dict(reader);
    }

    /// <inheritdoc cref="load_state_dict(string)"/>
    /// <param name="reader">Contains the state.</param>
    public void load_state_dict(BinaryReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        OrRestore(() =>
        {
            LoadInner(reader);
            if (TorchOptimOptions.WhyNot(_inner) is { } why) throw new InvalidDataException($"The file is corrupted: {why}.");
            StateFile.ReadMemory(reader, Clip);
            _guard.Spikes.Load(reader);
        });
    }

    // torch.optim's optimizers accept a state of any shape, and would use it in the next step.
    private static void RequireShapes(List<OptimizerState> found, List<OptimizerState> own)
    {
        for (int i = 0; i < Math.Min(found.Count, own.Count); i++)
            foreach (var field in own[i].GetType().GetFields())
                if (found[i]?.GetType() == own[i].GetType() && field.GetValue(own[i]) is Tensor expected && field.GetValue(found[i]) is Tensor got
                    && !got.shape.SequenceEqual(expected.shape))
                    throw new InvalidOperationException($"expected {field.Name} of shape [{string.Join(", ", expected.shape)}], got "
                        + $"[{string.Join(", ", got.shape)}]; load the state of an optimizer over the same model, its parameters in the same order");
    }

    // An error (a file that is too short, a state of another kind) leaves torch.optim's optimizers partly loaded.
    private void OrRestore(Action load)
    {
        using var turn = _guard.Enter("load_state_dict()");
        using var before = new MemoryStream();
        SaveInner(new BinaryWriter(before));
        try
        {
            load();
        }
        catch
        {
            before.Position = 0;
            LoadInner(new BinaryReader(before));
            throw;
        }
    }

    /// <inheritdoc cref="ClippingAwareOptimizer.rebind(nn.Module)"/>
    /// <remarks>
    /// Works for <c>torch.optim</c>'s optimizers too, which lose their state by <c>model.to(…)</c>. Parameters are found by the names that
    /// this optimizer was given, otherwise by position.
    /// </remarks>
    /// <exception cref="InvalidOperationException">The inner optimizer keeps its state in native code (LBFGS).</exception>
    public void rebind(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var turn = _guard.Enter("rebind()");
        var now = model.named_parameters().ToList();
        if (Managed is ClippingAwareOptimizer own) own.rebind(now);
        else TorchOptimRebinding.Run(Managed, _names, now);
        if (_names.Count > 0)
        {
            _names.Clear();
            Name(now);
        }
        UnregisteredModules.WarnOf(model);
    }
}
