using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Optimization;

namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    /// <summary>Adds a group of parameters; an option that it does not set takes the optimizer's value. Its state starts at zero.</summary>
    /// <param name="param_group">A group of this optimizer's own <c>ParamGroup</c> class.</param>
    /// <remarks>A weight that several layers share is updated once: the group keeps its first occurrence.</remarks>
    /// <exception cref="ArgumentException">
    /// The group belongs to another optimizer's class or has no parameters; it has the same object twice, a parameter that is already in a group
    /// (whatever its handle), two parameters in the same memory, or one that is not a leaf, is sparse or has no floating dtype; or an option is
    /// outside its range. Nothing is changed then.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// A parameter was replaced by <c>.to()</c> and <see cref="rebind(TorchSharp.torch.nn.Module)"/> was not called.
    /// </exception>
    public override void add_param_group(ParamGroup param_group)
    {
        ArgumentNullException.ThrowIfNull(param_group);
        RequireAlive();
        using var turn = _guard.Enter("add_param_group()");
        RequirePresent();
        Add(param_group, nameof(param_group));
    }

    // Makes all checks before it changes the group or the optimizer.
    private void Add(ParamGroup group, string argument)
    {
        var options = group.Options is null ? NewOptions() : OptionsOf(group, argument);
        var parameters = group.Parameters?.ToList() ?? [];
        var names = (group as INamedGroup)?.Names;
        if (parameters.Count == 0) throw new ArgumentException("optimizer got an empty parameter list", argument);
        if (names is not null && names.Count != parameters.Count)
            throw new ArgumentException($"expected the names of {parameters.Count} parameters, got {names.Count}; give a group its parameters once, with their "
                + "names", argument);
        Check(parameters, argument);
        var filled = NewOptions();
        filled.Copy(options);
        Fill(filled).Validate();
        var slots = Slots(parameters, names, filled);
        group.Options = Fill(options);
        group.Parameters = slots.ConvertAll(s => s.Parameter);
        _parameter_groups.Add(group);
        _slots.Add(slots);
        IndexState();
    }

    private ClipOptions Fill(ClipOptions options)
    {
        options.FillFrom((ClipOptions)_defaults);
        options.InitialLearningRate = options.LearningRate ?? 0;
        return options;
    }

    /// <summary>Creates the state of a parameter before its first step.</summary>
    private protected abstract MomentState NewState(Parameter parameter);

    private protected abstract ClipOptions NewOptions();

    // Generic because a sequence such as WeightDecayGroups implements IEnumerable<T> for several classes of groups; T selects this optimizer's.
    private protected void AddGroups<T>(IEnumerable<T> parameters) where T : ParamGroup
    {
        ArgumentNullException.ThrowIfNull(parameters);
        AddGroups(parameters, nameof(parameters));
    }

    // Adds the group that stab.optim creates. Errors name the argument that the user gave: parameters or named_parameters.
    private protected void AddOnly(ParamGroup group) =>
        AddGroups<ParamGroup>([group], group is INamedGroup { Names: not null } ? "named_parameters" : "parameters");

    private void AddGroups<T>(IEnumerable<T> groups, string argument) where T : ParamGroup
    {
        try
        {
            foreach (var group in groups) Add(group ?? throw new ArgumentException("expected groups, got null among them", argument), argument);
            if (_slots.Count == 0) throw new ArgumentException("optimizer got an empty parameter list", argument);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private ClipOptions OptionsOf(ParamGroup group, string argument = "Options") =>
        group.Options is ClipOptions own && own.GetType() == _defaults.GetType() ? own
        : throw new ArgumentException($"expected a {GetType().FullName}.ParamGroup, got {group.GetType().FullName} with "
            + $"{group.Options?.GetType().FullName ?? "no Options"}", argument);

    private void Check(List<Parameter> added, string argument)
    {
        if (added.Contains(null!)) throw new ArgumentException("expected parameters, got null among them", argument);
        if (added.Exists(p => p.IsInvalid)) throw new ArgumentException("expected parameters, got one that was disposed", argument);
        if (added.Distinct(ReferenceEqualityComparer.Instance).Count() != added.Count)
            throw new ArgumentException("optimizer contains a parameter group with duplicate parameters", argument);
        var known = parameters().Where(p => !p.IsInvalid).ToDictionary(ParameterIdentity.Of, ParameterIdentity.OfLeaf);
        var here = new Dictionary<ParameterIdentity, ParameterIdentity>();
        foreach (var p in added)
        {
            var (memory, leaf) = (ParameterIdentity.Of(p), ParameterIdentity.OfLeaf(p));
            if (known.TryGetValue(memory, out var other) && other == leaf)
                throw new ArgumentException("some parameters appear in more than one parameter group", argument);
            if (known.ContainsKey(memory) || (here.TryGetValue(memory, out other) && other != leaf))
                throw OneMemory(argument);
            here[memory] = leaf;
            if (!p.is_leaf) throw new ArgumentException("can't optimize a non-leaf Tensor", argument);
            if (!p.is_floating_point()) throw new ArgumentException($"expected parameters of a floating dtype, got {p.dtype}", argument);
            if (p.is_sparse) throw new ArgumentException("expected dense parameters, got a sparse one", argument);
        }
        RequireApart(added, argument);
    }

    // A transposed view or a part of another parameter is not the same parameter, but the same memory.
    private void RequireApart(List<Parameter> added, string argument)
    {
        var all = parameters().Where(p => !p.IsInvalid).Concat(added).DistinctBy(ParameterIdentity.OfLeaf);
        nint end = 0;
        foreach (var block in all.Select(ParameterIdentity.Block).OfType<(nint Start, nint End)>().Order())
        {
            if (block.Start < end) throw OneMemory(argument);
            end = block.End;
        }
    }

    private static ArgumentException OneMemory(string argument) =>
        new("two parameters lie in one memory and have a gradient each, so that neither step would be right; let one layer use the other's "
            + "(head.weight = embedding.weight), or compute what it needs from the other's in forward", argument);

    private List<ParameterSlot> Slots(List<Parameter> parameters, IReadOnlyList<string>? names, ClipOptions options) =>
        [.. Enumerable.Range(0, parameters.Count).GroupBy(i => ParameterIdentity.OfLeaf(parameters[i])).Select(places =>
            new ParameterSlot(parameters[places.First()], names is null ? [] : [.. places.Select(i => names[i])],
                InitialState(parameters[places.First()], options)))];

    private MomentState InitialState(Parameter parameter, ClipOptions options)
    {
        var state = NewState(parameter);
        state.Initialize(options);
        state.Convert(MomentDtype);
        return state;
    }

    // TorchSharp's state_dict(), to() and save and load functions find state by the parameter's handle.
    private void IndexState()
    {
        _list = null;
        TorchSharp.Utils.OrderedDict<IntPtr, OptimizerState> state = new();
        foreach (var slot in _slots.SelectMany(s => s)) state[slot.Parameter.Handle] = slot.State;
        _state = state; // at once, because another thread may read it
    }
}
