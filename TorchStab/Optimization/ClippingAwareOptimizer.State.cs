using TorchSharp.Modules;
using TorchStab.Initialization;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    private ScalarType? _momentDtype;

    /// <summary>
    /// The dtype of the state; null (default): the parameters', and float32 for those of a half type, whose moments then keep the digits that a small
    /// step needs. The arithmetic is in float32 or float64 whatever is set here. Setting it converts the state.
    /// </summary>
    /// <remarks>
    /// PyTorch's moments have the parameter's dtype: set it to that, before saving, where <c>torch.optim</c> shall load the file, or where memory counts more. A float16 square
    /// of 300 is infinite (the step is then left out, see <see cref="NonFinite"/>), one of 1e-4 is 0.
    /// </remarks>
    /// <exception cref="ArgumentException">Not a floating dtype.</exception>
    public ScalarType? MomentDtype
    {
        get => _momentDtype;
        set
        {
            if (value is not (null or ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64))
                throw new ArgumentException($"expected a floating dtype, got {value}", nameof(value));
            RequireAlive();
            _guard.RequireIdle("MomentDtype");
            _momentDtype = value;
            foreach (var slot in _slots.SelectMany(s => s)) slot.State.Convert(value);
            _list = null;
        }
    }

    /// <summary>The name that the files of <c>torch.optim</c>'s optimizer of this kind begin with.</summary>
    private protected virtual string FileName => GetType().Name;

    /// <summary>
    /// Saves options and state, in the format of <c>torch.optim</c>'s optimizer of the same name, which loads it; that of half parameters only where
    /// <see cref="MomentDtype"/> is theirs.
    /// </summary>
    /// <param name="location">The file to write. It is replaced when everything is written, so a failure leaves the old one whole; its mode and links to it stay.</param>
    /// <exception cref="ArgumentException">A folder, a device, a pipe or a socket.</exception>
    public new void save_state_dict(string location) => StateFile.Save(location, save_state_dict);

    /// <inheritdoc cref="save_state_dict(string)"/>
    /// <param name="writer">Where to write.</param>
    public new void save_state_dict(BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        StateFile.Write(writer, FileName, state_dict());
        Clip?.SaveMemory(writer);
        _guard.Spikes.Save(writer);
    }

    /// <summary>Loads options and state from a file of this optimizer or of <c>torch.optim</c>'s of the same name. Thresholds stay.</summary>
    /// <param name="location">The file to read.</param>
    /// <exception cref="InvalidDataException">
    /// A file of another optimizer, one that holds no state, or an option or a step count outside its range. Nothing is changed after any of these.
    /// </exception>
    /// <exception cref="EndOfStreamException">The file is cut short.</exception>
    /// <exception cref="ArgumentException">Another number of groups or parameters, other shapes or dtypes.</exception>
    /// <exception cref="InvalidOperationException">A parameter was replaced by <c>.to()</c> and <see cref="rebind(nn.Module)"/> was not called.</exception>
    public new void load_state_dict(string location)
    {
        using var reader = new BinaryReader(File.OpenRead(location));
        load_state_dict(reader);
    }

    /// <inheritdoc cref="load_state_dict(string)"/>
    /// <param name="reader">Where to read.</param>
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

    /// <summary>Copies options and state of another optimizer of this kind, TorchStab's or <c>torch.optim</c>'s. Thresholds stay.</summary>
    /// <param name="state_dict">What its <c>state_dict()</c> returned.</param>
    /// <exception cref="ArgumentException">Another number of groups or parameters, or an option outside its range.</exception>
    /// <exception cref="InvalidOperationException">Of another kind of optimizer, or of other shapes; a step count below 0. Nothing is changed then.</exception>
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
    /// <returns>What <see cref="load_state_dict(StateDictionary)"/> takes.</returns>
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
    /// Continues with the parameters that took the place of those it had: after <c>model.to(device or dtype)</c>, after a layer was
    /// swapped or folded. State moves along, converted to the new device and dtype. By name where the optimizer was built from named
    /// parameters: names that are gone leave it, a parameter of another shape starts anew. Without names by position.
    /// </summary>
    /// <param name="model">
    /// The model whose parameters the optimizer was built from. Modules that it holds in a field or a list without having registered them are not
    /// trained: <see cref="System.Diagnostics.Trace.TraceWarning(string)"/> says so of each.
    /// </param>
    /// <exception cref="ArgumentException">
    /// No name in common; without names, another number of parameters or other shapes; a parameter or name that is null, and one that could not
    /// be optimized. Nothing is changed then.
    /// </exception>
    public void rebind(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        rebind(model.named_parameters());
        UnregisteredModules.WarnOf(model);
    }

    /// <inheritdoc cref="rebind(nn.Module)"/>
    /// <param name="named_parameters">The parameters in place now.</param>
    public void rebind(IEnumerable<(string name, Parameter parameter)> named_parameters)
    {
        ArgumentNullException.ThrowIfNull(named_parameters);
        RequireAlive();
        _guard.RequireIdle("rebind()");
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
        if (_slots.Exists(group => group.Exists(s => s.Parameter.IsInvalid))) throw new InvalidOperationException("A parameter of the optimizer no longer exists: " +
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
