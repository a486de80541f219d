using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// Puts a model's present parameters into an optimizer of <c>torch.optim</c>. These optimizers find their state by the parameter's native
/// handle, which <c>.to()</c> and folding replace, and have no function to update it. Accessors write their two protected fields.
/// </summary>
internal static class TorchOptimRebinding
{
    /// <param name="optimizer">The optimizer. It is not changed if this throws.</param>
    /// <param name="names">The names of the old handles. If one is missing, parameters are matched by position.</param>
    /// <param name="now">The model's present parameters.</param>
    public static void Run(OptimizerHelper optimizer, Dictionary<IntPtr, string> names, List<(string Name, Parameter Parameter)> now)
    {
        var old = ((IEnumerable<(IntPtr, OptimizerState)>)States(optimizer)).ToList();
        var groups = optimizer.ParamGroups.Cast<ParamGroup>().ToList();
        var sizes = Sizes(groups, old.Count);
        var found = Match(old, names, [.. now.DistinctBy(n => ParameterIdentity.OfLeaf(n.Parameter))]);
        using var _ = no_grad();
        States(optimizer).Clear();
        int at = 0;
        for (int g = 0; g < groups.Count; at += sizes[g++])
        {
            var options = (OptimizerOptions)groups[g].Options;
            groups[g].Parameters = Enumerable.Range(at, sizes[g]).Where(i => found[i] is not null).Select(i => found[i]!).ToList();
            for (int i = at; i < at + sizes[g]; i++)
                if (found[i] is { } parameter) States(optimizer).Add(parameter.Handle, Bound(old[i].Item2, parameter, options));
                else (old[i].Item2 as IDisposable)?.Dispose();
        }
    }

    /// <summary>Removes the states of all other parameters.</summary>
    public static void KeepOnly(OptimizerHelper optimizer, HashSet<IntPtr> handles)
    {
        foreach (var (handle, state) in ((IEnumerable<(IntPtr, OptimizerState)>)States(optimizer)).ToList())
        {
            if (handles.Contains(handle)) continue;
            (state as IDisposable)?.Dispose();
            States(optimizer).Remove(handle);
        }
    }

    /// <summary>Throws if a state has another shape than its parameter, as after loading a corrupted file or the file of another model.</summary>
    public static void RequireShapes(OptimizerHelper optimizer)
    {
        foreach (var (_, state) in (IEnumerable<(IntPtr, OptimizerState)>)States(optimizer))
            if (Held(state).Find(f => !Fits(f.Tensor, Owner(state))) is { Field: { } field })
                throw new InvalidDataException($"The file is corrupted, or of another model: it gave {field.Name} another shape than its parameter has.");
    }

    // A state of another shape belongs to another layer and is reset to zero. Any other state moves to its parameter's device.
    private static OptimizerState Bound(OptimizerState state, Parameter parameter, OptimizerOptions options)
    {
        Owner(state) = parameter;
        var held = Held(state);
        if (held.Exists(f => !Fits(f.Tensor, parameter))) state.Initialize(options);
        else
            foreach (var (field, tensor) in held) field.SetValue(state, Moved(tensor, parameter));
        return state;
    }

    private static List<(FieldInfo Field, Tensor Tensor)> Held(OptimizerState state) =>
    [
        .. from field in state.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance)
           where field.FieldType == typeof(Tensor)
           let tensor = (Tensor?)field.GetValue(state)
           where tensor is not null
           select (field, tensor)
    ];

    private static bool Fits(Tensor tensor, Parameter parameter) => tensor.dim() == 0 || tensor.shape.SequenceEqual(parameter.shape);

    private static Tensor Moved(Tensor tensor, Parameter parameter)
    {
        if (tensor.dtype == parameter.dtype && tensor.device_type == parameter.device_type && tensor.device_index == parameter.device_index) return tensor;
        var moved = tensor.to(parameter.dtype, parameter.device, copy: true).DetachFromDisposeScope();
        tensor.Dispose();
        return moved;
    }

    private static List<Parameter?> Match(List<(IntPtr Handle, OptimizerState State)> old, Dictionary<IntPtr, string> names,
        List<(string Name, Parameter Parameter)> now, string argument = "model")
    {
        var byHandle = now.ToDictionary(n => n.Parameter.Handle, n => n.Parameter);
        if (old.TrueForAll(o => byHandle.ContainsKey(o.Handle))) return old.ConvertAll(o => (Parameter?)byHandle[o.Handle]);
        if (old.TrueForAll(o => names.ContainsKey(o.Handle)))
        {
            var byName = now.ToDictionary(n => n.Name, n => n.Parameter);
            return old.ConvertAll(o => byName.GetValueOrDefault(names[o.Handle]));
        }
        if (old.Count == now.Count) return now.ConvertAll(n => (Parameter?)n.Parameter);
        throw new ArgumentException($"expected {old.Count} parameters, in the order the optimizer was given them, got {now.Count}; give "
            + "stab.optim.ClippedOptimizer named_parameters: model.named_parameters(), then they are found by name", argument);
    }

    // A group may have a lazy sequence that is evaluated each time, and then returns the present parameters instead of the group's.
    private static List<int> Sizes(List<ParamGroup> groups, int states)
    {
        var sizes = groups.Count == 1 ? [states] : groups.ConvertAll(g => g.Parameters.Count());
        return sizes.Sum() == states ? sizes : throw new InvalidOperationException(
            "The optimizer's groups no longer tell which parameters they had; make them from lists (model.parameters().ToList()).");
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_state")]
    private static extern ref OrderedDict<IntPtr, OptimizerState> States(OptimizerHelper optimizer);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_parameter")]
    private static extern ref Parameter Owner(OptimizerState state);
}
