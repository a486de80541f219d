using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch.optim;

namespace TorchStab.Optimization;

/// <summary>
/// Weights that several layers share, in optimizers of <c>torch.optim</c>: TorchSharp knows a parameter by its handle, of which such a weight has
/// several, keeps a state for each and steps the weight once for each.
/// </summary>
internal static class TiedParameters
{
    /// <summary>Leaves each parameter at its first place; refuses where that is in another group, or in native code.</summary>
    public static void StepOnce(Optimizer optimizer, List<Parameter> all)
    {
        var distinct = GradientSet.Distinct(all);
        if (distinct.Count == all.Count) return;
        if (optimizer is not OptimizerHelper managed)
            throw new ArgumentException($"{optimizer.GetType().Name} was given {all.Count - distinct.Count} parameters twice (tied weights) and would step them twice; "
                + "leave one of each out", nameof(optimizer));
        var groups = managed.ParamGroups.Cast<ParamGroup>().ToList();
        var lists = groups.ConvertAll(g => GradientSet.Distinct(g.Parameters));
        if (lists.Sum(l => l.Count) != distinct.Count) throw new ArgumentException("some parameters appear in more than one parameter group", nameof(optimizer));
        for (int g = 0; g < groups.Count; g++) groups[g].Parameters = lists[g];
        TorchOptimRebinding.KeepOnly(managed, [.. distinct.Select(p => p.Handle)]);
    }
}
