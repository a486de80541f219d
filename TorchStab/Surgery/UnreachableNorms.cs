using System.Globalization;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Lists the norms that surgery knows of and can't reach, so that none is passed over in silence.</summary>
internal static class UnreachableNorms
{
    /// <summary>Adds them to what a plan leaves.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="filter">Which, by path; null: all.</param>
    /// <param name="selects">Which kinds of norm; null: all that TorchStab has a counterpart of.</param>
    public static void List(SurgeryPlan plan, Func<string, bool>? filter, Predicate<nn.Module>? selects = null)
    {
        if (selects is null)
            foreach (var node in plan.Nodes)
                if (Inside(node.Module) is > 0 and var count && (filter?.Invoke(node.Path) ?? true))
                    plan.RefuseOnce(new(node.Path, NormNames.Of(node.Module), "its layer norms are inside libtorch's own module; write the block with LayerNorm modules to exchange them")
                    { Count = count });
        var registered = plan.Nodes.Select(n => n.Module).ToHashSet((IEqualityComparer<nn.Module>)ReferenceEqualityComparer.Instance);
        foreach (var module in plan.Graph.Modules.Where(m => !registered.Contains(m) && (selects?.Invoke(m) ?? NormTwin.Of(m) is not null)))
        {
            var slot = plan.Graph.SlotsOf(module)[0];
            string place = slot.Declaration is { } declaration ? Declarations.Place(declaration) : $"a table of {slot.Owner.GetType().Name}", path = Path(plan, slot);
            if (filter?.Invoke(path) ?? true)
                plan.RefuseOnce(new(path, NormNames.Of(module),
                    $"{place} holds it, and it is not registered in the model: parameters(), state_dict() and to() pass it over; call register_module, or hold it in a ModuleList or ModuleDict"));
        }
    }

    /// <summary>
    /// The norms among the layers that libtorch holds for a module (nn.TransformerEncoder): TorchSharp shows their parameters under a path each, and a norm's
    /// weight is the only one of one dimension.
    /// </summary>
    private static int Inside(nn.Module module) => module.GetType().Assembly != typeof(nn.Module).Assembly ? 0
        : module.named_parameters(false).Count(p => p.name.EndsWith(".weight", StringComparison.Ordinal) && p.parameter.dim() == 1);

    private static string Path(SurgeryPlan plan, Slot slot)
    {
        string owner = plan.Nodes.FirstOrDefault(n => n.Module == slot.Owner)?.Path ?? slot.Owner.GetType().Name, name = slot.Declaration is { } d ? Declarations.SourceName(d) : "?";
        return (owner.Length == 0 ? name : $"{owner}.{name}") + (slot.Index < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"[{slot.Index}]"));
    }
}
