using System.Globalization;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Finds norms that surgery cannot exchange because they are not registered or are inside libtorch's own modules.</summary>
internal static class UnreachableNorms
{
    private const string InsideLibtorch = "its layer norms are inside libtorch's own module; write the block with LayerNorm modules to exchange them";

    /// <summary>Adds them to the refusals of a plan, so that the report names them.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="filter">Returns true for a norm to list, given its name; null: all.</param>
    /// <param name="selects">Returns true for the kinds of norm to list; null: all that have a counterpart in TorchStab.</param>
    public static void List(SurgeryPlan plan, Func<string, bool>? filter, Predicate<nn.Module>? selects = null)
    {
        if (selects is null)
            foreach (var node in plan.Nodes)
                if (NormsInside(node.Module) is > 0 and var count && (filter?.Invoke(node.Name) ?? true))
                    plan.RefuseOnce(new(node.Name, NormNames.Of(node.Module), InsideLibtorch) { Count = count });
        var registered = plan.Nodes.Select(n => n.Module).ToHashSet((IEqualityComparer<nn.Module>)ReferenceEqualityComparer.Instance);
        foreach (var module in plan.Graph.Modules.Where(m => !registered.Contains(m) && (selects?.Invoke(m) ?? NormTwin.Of(m) is not null)))
        {
            var slot = plan.Graph.SlotsOf(module)[0];
            string path = Path(plan, slot);
            string reason = $"{Declarations.PlaceOf(slot)} holds it, and it is not registered in the model: parameters(), state_dict() and to() pass it over; "
                + "call register_module, or hold it in a ModuleList or ModuleDict";
            if (filter?.Invoke(path) ?? true) plan.RefuseOnce(new(path, NormNames.Of(module), reason));
        }
    }

    /// <summary>
    /// The number of norms among the layers that libtorch holds for a module (nn.TransformerEncoder). TorchSharp lists the parameters of these layers by name;
    /// only a norm's weight has one dimension.
    /// </summary>
    private static int NormsInside(nn.Module module) => module.GetType().Assembly != typeof(nn.Module).Assembly ? 0
        : module.named_parameters(false).Count(p => p.name.EndsWith(".weight", StringComparison.Ordinal) && p.parameter.dim() == 1);

    private static string Path(SurgeryPlan plan, Slot slot)
    {
        string owner = plan.Nodes.FirstOrDefault(n => n.Module == slot.Owner)?.Name ?? slot.Owner.GetType().Name;
        string name = slot.Declaration is { } d ? Declarations.SourceName(d) : "?";
        return (owner.Length == 0 ? name : $"{owner}.{name}") + (slot.Index < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"[{slot.Index}]"));
    }
}
