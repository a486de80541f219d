using TorchSharp.Modules;
using TorchStab.Optimization;

namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    /// <summary>Adds parameters with options of their own; what is unset in these takes the optimizer's. State starts at zero.</summary>
    /// <param name="param_group">A group of this optimizer's own <c>ParamGroup</c> class.</param>
    /// <exception cref="ArgumentException">
    /// A group of another optimizer, no parameters, a parameter that is already in a group, not a leaf or not of a floating dtype,
    /// or an option outside its range. Nothing is changed then.
    /// </exception>
    public override void add_param_group(ParamGroup param_group)
    {
        ArgumentNullException.ThrowIfNull(param_group);
        var options = OptionsOf(param_group);
        var parameters = param_group.Parameters?.ToList() ?? [];
        var names = (param_group as INamedGroup)?.Names;
        if (parameters.Count == 0) throw new ArgumentException("optimizer got an empty parameter list", nameof(param_group));
        Check(parameters);
        options.FillFrom((ClipOptions)_defaults);
        options.LearningRate ??= _defaults.LearningRate;
        options.Validate();
        options.InitialLearningRate = options.LearningRate!.Value;
        param_group.Options = options;
        param_group.Parameters = parameters;
        _parameter_groups.Add(param_group);
        _slots.Add([.. parameters.Select((p, i) => new ParameterSlot(p, names?[i], InitialState(p, options)))]);
        IndexState();
    }

    /// <summary>The state of a parameter that has not been stepped yet.</summary>
    private protected abstract MomentState NewState(Parameter parameter);

    private protected abstract ClipOptions NewOptions();

    private protected void AddGroups(IEnumerable<ParamGroup> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        try
        {
            foreach (var group in parameters) add_param_group(group);
            if (_slots.Count == 0) throw new ArgumentException("optimizer got an empty parameter list", nameof(parameters));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private ClipOptions OptionsOf(ParamGroup group)
    {
        if (group.Options is null) return NewOptions();
        return group.Options is ClipOptions own && own.GetType() == _defaults.GetType() ? own
            : throw new ArgumentException($"expected a {GetType().FullName}.ParamGroup, got {group.GetType().FullName} with {group.Options.GetType().FullName}", nameof(group));
    }

    private void Check(List<Parameter> added)
    {
        var known = parameters().Select(p => p.Handle).ToHashSet();
        var here = new HashSet<IntPtr>();
        foreach (var p in added)
        {
            if (p is null) throw new ArgumentException("expected parameters, got null among them", nameof(added));
            if (!here.Add(p.Handle)) throw new ArgumentException("optimizer contains a parameter group with duplicate parameters", nameof(added));
            if (known.Contains(p.Handle)) throw new ArgumentException("some parameters appear in more than one parameter group", nameof(added));
            if (!p.is_leaf) throw new ArgumentException("can't optimize a non-leaf Tensor", nameof(added));
            if (!p.is_floating_point()) throw new ArgumentException($"expected parameters of a floating dtype, got {p.dtype}", nameof(added));
        }
    }

    private MomentState InitialState(Parameter parameter, ClipOptions options)
    {
        var state = NewState(parameter);
        state.Initialize(options);
        state.Convert(MomentDtype);
        return state;
    }

    // TorchSharp's state_dict, to() and files find state by the parameter's handle.
    private void IndexState()
    {
        _list = null;
        _state.Clear();
        foreach (var slot in _slots.SelectMany(s => s)) _state[slot.Parameter.Handle] = slot.State;
    }
}
