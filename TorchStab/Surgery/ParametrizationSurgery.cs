using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;
using TorchStab.Reparametrization;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Registers parametrizations: of a layer by another module in its place, of a recurrent cell in the cell itself, of a model in all layers of it that can.
/// </summary>
internal sealed class ParametrizationSurgery
{
    private readonly SurgeryPlan _plan;
    private readonly string _name;
    private readonly ParametrizationRule _rule;
    private readonly Dictionary<nn.Module, Parametrization> _made = new(ReferenceEqualityComparer.Instance);

    private ParametrizationSurgery(nn.Module model, string name, ParametrizationRule rule) => (_plan, _name, _rule) = (new(model), name, rule);

    /// <summary>Parametrizes a layer, or every layer of a model; what can't be is an error.</summary>
    public static nn.Module Register(nn.Module module, string name, ParametrizationRule rule)
    {
        var changed = Register(module, name, rule, null, out var report, requireAll: true);
        return report.Changes.Count > 0 ? changed : throw Missing(module, name);
    }

    /// <summary>The same; what can't be is in the report.</summary>
    public static nn.Module Register(nn.Module module, string name, ParametrizationRule rule, Func<string, bool>? filter, out SurgeryReport report,
        bool requireAll = false)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(name);
        if (WeightOf(module, name) is { } weight) return One(module, name, weight, rule, out report);
        if (LayerCall.Knows(module) || module is IParametrized) throw Missing(module, name);
        var surgery = new ParametrizationSurgery(module, name, rule);
        foreach (var node in surgery._plan.Nodes)
            if (filter?.Invoke(node.Name) ?? true) surgery.Plan(node);
        if (requireAll && surgery._plan.Refusals.Count > 0)
            throw new InvalidOperationException($"the model is unchanged, because not every '{name}' can be parametrized (the overload with a report does "
                + $"those that can):\n{new SurgeryReport([], surgery._plan.Refusals)}");
        report = surgery._plan.Commit(surgery.Finish);
        return module;
    }

    private static nn.Module One(nn.Module module, string name, Parameter weight, ParametrizationRule rule, out SurgeryReport report)
    {
        SurgeryCheck.RequireAlive(module, "");
        if (rule.Obstacle(module, weight) is { } obstacle)
            throw new ArgumentException($"{NormNames.Of(module)} can't have {rule.Word} of '{name}': {obstacle}", nameof(module));
        report = new([new("", NormNames.Of(module), $"{NormNames.Of(module)}, {rule.Word} of {name}")], []);
        var made = rule.Make(module, weight);
        if (module is IParametrizable cell)
        {
            cell.Parametrize(name, made);
            return module;
        }
        var twin = new Parametrized((nn.Module<Tensor, Tensor>)module, made);
        TakeOver(module, twin);
        return twin;
    }

    private void Plan(ModuleNode node)
    {
        var (module, weight) = (node.Module, node.Module.get_parameter(_name));
        if (module is IParametrized computes && computes.Parametrizations.Any(p => p.Name == _name))
            _plan.Refuse(node, $"'{_name}' is parametrized already; call remove_parametrizations first");
        else if (WeightOf(module, _name) is null)
        {
            // A norm's scale and the like have no direction.
            if (weight?.dim() > 1 && !_plan.Nodes.Any(n => n.Parent == module && n.Name == node.NameOf(_name)))
                _plan.Refuse(node, $"its '{_name}' is not that of a Linear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding, or of a recurrent cell of stab.nn");
        }
        else if (_rule.Obstacle(module, weight!) is { } obstacle) _plan.Refuse(node, obstacle);
        else if (Sharer(node, weight!) is { } other) _plan.Refuse(node,
            $"'{other}' shares its weight, and would go on with the parameter that the weight is computed from");
        else Replace(node, weight!);
    }

    private void Replace(ModuleNode node, Parameter weight)
    {
        string to = $"{NormNames.Of(node.Module)}, {_rule.Word} of {_name}";
        if (node.Module is IParametrizable) _plan.TryReplace(node, [], node.Module.GetType(), to, () => Made(node, weight));
        else _plan.TryReplace(node, typeof(Parametrized), to, () => new Parametrized((nn.Module<Tensor, Tensor>)node.Module, _rule.Make(node.Module, weight)));
    }

    private nn.Module Made(ModuleNode node, Parameter weight)
    {
        _made[node.Module] = _rule.Make(node.Module, weight);
        return node.Module;
    }

    private void Finish(nn.Module old, nn.Module now)
    {
        if (now is IParametrizable cell) cell.Parametrize(_name, _made[old]);
        else TakeOver(old, now);
    }

    private static void TakeOver(nn.Module old, nn.Module twin)
    {
        ((Parametrized)twin).parametrization.Matrix.grad = null; // that of the weight
        if (RuntimeFeature.IsDynamicCodeSupported) TorchSharpInternals.ShareHooks((nn.Module<Tensor, Tensor>)old, (nn.Module<Tensor, Tensor>)twin);
    }

    private string? Sharer(ModuleNode node, Parameter weight)
    {
        var identity = ParameterIdentity.OfLeaf(weight);
        var other = _plan.Nodes.FirstOrDefault(n => n.Module != node.Module
            && n.Module.named_parameters(false).Any(p => ParameterIdentity.OfLeaf(p.parameter) == identity));
        return other is null ? null : other.Name.Length == 0 ? "the model itself" : other.Name;
    }

    /// <summary>The parameter that can be computed; null for a module that has none of the name, or another kind.</summary>
    private static Parameter? WeightOf(nn.Module module, string name) => module switch
    {
        IParametrizable cell when cell.Weights.Contains(name) => module.get_parameter(name),
        _ when LayerCall.Knows(module) && name == "weight" => module.get_parameter(name),
        _ => null,
    };

    private static ArgumentException Missing(nn.Module module, string name) => new(
        $"Module '{module.GetName()}' does not have a parameter '{name}' that could be parametrized: expected the 'weight' of a Linear, Conv1d to 3d, "
        + "ConvTranspose1d to 3d or Embedding, or the 'weight_ih' or 'weight_hh' of a recurrent cell of stab.nn, in the module or in one inside it; one that "
        + "is parametrized already is left to remove_parametrizations", nameof(module));
}
