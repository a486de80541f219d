using TorchSharp.Modules;
using TorchStab.Initialization;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    private ScalarType? _momentDtype;

    /// <summary>
    /// The dtype of the state; null (default): the parameters', and float32 for float16 and bfloat16 parameters, because moments need that precision
    /// for small steps. The arithmetic is in float32 or float64 whatever is set here. Setting it converts the state.
    /// </summary>
    /// <remarks>
    /// PyTorch's moments have the parameter's dtype. Set it to that dtype before saving a file for <c>torch.optim</c>, or to save memory. In float16 the
    /// square of 300 is infinite
    /// (the step is then skipped, see <see cref="NonFinite"/>), and the square of 1e-4 is 0.
    /// </remarks>
    /// <exception cref="ArgumentException">It is not a floating dtype.</exception>
    public ScalarType? MomentDtype
    {
        get => _momentDtype;
        set
        {
            if (value is not (null or ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64))
                throw new ArgumentException($"expected a floating dtype, got {value}", nameof(value));
            RequireAlive();
            using var turn = _guard.Enter("MomentDtype");
            _momentDtype = value;
            foreach (var slot in _slots.SelectMany(s => s)) slot.State.Convert(value);
            _list = null;
        }
    }

    /// <summary>The first entry of a file of <c>torch.optim</c>'s optimizer of this kind: its name.</summary>
    private protected virtual string FileName => GetType().Name;

    /// <summary>
    /// Saves options and state in the format of <c>torch.optim</c>'s optimizer of the same name, which can load the file; with half-precision parameters
    /// it can only if <see cref="MomentDtype"/> is their dtype.
    /// </summary>
    /// <param name="location">
    /// The file to write. It is replaced after everything is written, so a failure does not damage the old file; its mode and links to it are kept.
    /// </param>
    /// <exception cref="ArgumentException">It is a folder, a device, a pipe or a socket.</exception>
    public new void save_state_dict(string location) => StateFile.Save(location, save_state_dict);

    /// <inheritdoc cref="save_state_dict(string)"/>
    /// <param name="writer">Receives options and state.</param>
    public new void save_state_dict(BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        using var turn = _guard.Enter("save_state_dict()");
        StateFile.Write(writer, FileName, state_dict());
        Clip?.SaveMemory(writer);
        _guard.Spikes.Save(writer);
    }

    /// <summary>Loads options and state from a file of this optimizer or of <c>torch.optim</c>'s of the same name. Thresholds are not changed.</summary>
    /// <param name="location">The file to read.</param>
    /// <exception cref="InvalidDataException">
    /// The file is another optimizer's, holds no state, or has an option or a step count outside its range. Nothing is changed then.
    /// </exception>
    /// <exception cref="EndOfStreamException">The file ends too early.</exception>
    /// <exception cref="ArgumentException">The number of groups or parameters, a shape or a dtype differs.</exception>
    /// <exception cref="InvalidOperationException">A parameter was replaced by <c>.to()</c> and <see cref="rebind(nn.Module)"/> was not called.</exception>
    public new void load_state_dict(string location)
    {
        using var reader = new BinaryReader(File.OpenRead(location));
        load_state_dict(reader);
    }

    /// <inheritdoc cref="load_state_dict(string)"/>
    /// <param name="reader">Contains options and state.</param>
    public new void load_state_dict(BinaryReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        RequireAlive();
        using var turn = _guard.Enter("load_state_dict()");
        var slots = _slots.SelectMany(s => s).ToList();
        RequirePresent();
        var options = _parameter_groups.Select(_ => NewOptions()).ToList();
        var states = _slots.SelectMany((s, g) => s.Select(slot => InitialState(slot.Parameter, OptionsOf(_parameter_groups[g])))).ToList();
        for (int i = 0; i < slots.Count; i++) states[i].Convert(slots[i].State.MomentDtype);
        try
        {
            StateFile.Read(reader, FileName, options, states);
            StateFile.Require(() =>
            {
                options.ForEach(o => o.Validate());
                for (int i = 0; i < slots.Count; i++) slots[i].State.Check(states[i]);
            });
            StateFile.ReadMemory(reader, Clip);
            _guard.Spikes.Load(reader);
            for (int g = 0; g < options.Count; g++) _parameter_groups[g].Options.LoadStateDict(options[g]);
            for (int i = 0; i < slots.Count; i++) slots[i].State.LoadStateDict(states[i]);
        }
        finally
        {
            foreach (var state in states) state.Dispose();
        }
    }

    /// <summary>Copies options and state of another optimizer of this kind, TorchStab's or <c>torch.optim</c>'s. Thresholds are not changed.</summary>
    /// <param name="state_dict">The result of its <c>state_dict()</c>.</param>
    /// <exception cref="ArgumentException">The number of groups or parameters differs, or an option is outside its range.</exception>
    /// <exception cref="InvalidOperationException">
    /// It comes from another kind of optimizer, a shape differs, or a step count is below 0. Nothing is changed then.
    /// </exception>
    public override void load_state_dict(StateDictionary state_dict)
    {
        ArgumentNullException.ThrowIfNull(state_dict);
        RequireAlive();
        using var turn = _guard.Enter("load_state_dict()");
        RequirePresent();
        var own = this.state_dict();
        StateFile.Match(state_dict.Options.Count, own.Options.Count, "parameter groups");
        StateFile.Match(state_dict.State.Count, own.State.Count, "states");
        for (int i = 0; i < own.State.Count; i++) ((MomentState)own.State[i]).Check(state_dict.State[i]);
        foreach (var options in state_dict.Options)
        {
            var trial = NewOptions();
            trial.LoadStateDict(options);
            trial.Validate();
        }
        base.load_state_dict(state_dict);
    }

    /// <summary>The options of every group and the state of every parameter, by reference.</summary>
    /// <returns>A state for <see cref="load_state_dict(StateDictionary)"/>.</returns>
    /// <exception cref="InvalidOperationException">A parameter was replaced by <c>.to()</c> and <see cref="rebind(nn.Module)"/> was not called.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    public override StateDictionary state_dict()
    {
        RequireAlive();
        RequirePresent();
        IndexState();
        return base.state_dict();
    }

    /// <summary>
    /// Continues with the parameters that replaced the optimizer's: after <c>model.to(device or dtype)</c>, or after a layer was swapped or
    /// folded. The state is kept and converted to the new device and dtype. Parameters are matched by name if the optimizer was built from
    /// named parameters: a name that no longer exists is removed, and a parameter of another shape starts with state zero. Without names they
    /// are matched by position.
    /// </summary>
    /// <param name="model">
    /// The model whose parameters the optimizer was built from. A module that the model holds in a field or a list but has not registered is not
    /// trained: <see cref="System.Diagnostics.Trace.TraceWarning(string)"/> reports each.
    /// </param>
    /// <exception cref="ArgumentException">
    /// No name is in both; without names, the number of parameters or a shape differs; a parameter or a name is null, or a parameter cannot be
    /// optimized. Nothing is changed then.
    /// </exception>
    public void rebind(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        rebind(model.named_parameters());
        UnregisteredModules.WarnOf(model);
    }

    /// <inheritdoc cref="rebind(nn.Module)"/>
    /// <param name="named_parameters">The model's present parameters.</param>
    public void rebind(IEnumerable<(string name, Parameter parameter)> named_parameters)
    {
        ArgumentNullException.ThrowIfNull(named_parameters);
        RequireAlive();
        using var turn = _guard.Enter("rebind()");
        var now = named_parameters.ToList();
        Rebinding.Require(now);
        var replacements = Rebinding.Match(_slots, now);
        for (int g = 0; g < _slots.Count; g++)
        {
            foreach (var slot in _slots[g])
                if (!replacements.ContainsKey(slot)) slot.State.Dispose();
            _slots[g].RemoveAll(s => !replacements.ContainsKey(s));
            foreach (var slot in _slots[g]) Rebind(slot, replacements[slot], (ClipOptions)_parameter_groups[g].Options);
            _parameter_groups[g].Parameters = _slots[g].ConvertAll(s => s.Parameter);
        }
        IndexState();
    }

    private void RequirePresent()
    {
        if (_slots.Exists(group => group.Exists(s => s.Parameter.IsInvalid)))
            throw new InvalidOperationException("A parameter of the optimizer no longer exists: " +
            "the model was moved by .to(), or a layer was swapped. Call optimizer.rebind(model) before its state is read or loaded, or a group is added.");
    }

    private static void Rebind(ParameterSlot slot, Parameter parameter, ClipOptions options)
    {
        bool same = slot.Shape.SequenceEqual(parameter.shape);
        slot.Bind(parameter);
        if (same) slot.State.Rebind(parameter);
        else slot.State.Restart(parameter, options);
    }
}
