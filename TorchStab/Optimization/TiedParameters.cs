using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch.optim;

namespace TorchStab.Optimization;

/// <summary>
/// Weights that several layers share, in optimizers of <c>torch.optim</c>. TorchSharp identifies a parameter by its handle. A shared weight has several
/// handles, so TorchSharp keeps a state for each and updates the weight once for each.
/// </summary>
internal static class TiedParameters
{
    /// <summary>
    /// Keeps only the first occurrence of each parameter. Throws if two occurrences are in different groups, or the optimizer is in native code.
    /// </summary>
    /// <param name="optimizer">The inner optimizer of a <see cref="TorchStab.Modules.ClippedOptimizer"/>.</param>
    /// <param name="all">Its parameters.</param>
    /// <param name="argument">The argument that contains the parameters, for messages.</param>
    public static void StepOnce(Optimizer optimizer, List<Parameter> all, string argument)
    {
        var distinct = GradientSet.Distinct(all);
        if (distinct.Count == all.Count) return;
        if (optimizer is not OptimizerHelper managed)
            throw new ArgumentException($"{optimizer.GetType().Name} was given {all.Count - distinct.Count} parameters twice (tied weights) and would step "
                + "them twice; "
                + "leave one of each out", argument);
        var groups = managed.ParamGroups.Cast<ParamGroup>().ToList();
        var lists = groups.ConvertAll(g => GradientSet.Distinct(g.Parameters));
        if (lists.Sum(l => l.Count) != distinct.Count) throw InTwoGroups(argument);
        for (int g = 0; g < groups.Count; g++) groups[g].Parameters = lists[g];
        TorchOptimRebinding.KeepOnly(managed, [.. distinct.Select(p => p.Handle)]);
    }

    /// <summary>Throws if a parameter that is to be added is already in a group, whatever its handle.</summary>
    public static void RequireNew(IEnumerable<Parameter> known, IEnumerable<Parameter>? added, string argument)
    {
        var identities = known.Where(p => !p.IsInvalid).Select(ParameterIdentity.OfLeaf).ToHashSet();
        if (added?.Any(p => p is { IsInvalid: false } && identities.Contains(ParameterIdentity.OfLeaf(p))) == true) throw InTwoGroups(argument);
    }

    private static ArgumentException InTwoGroups(string argument) => new("some parameters appear in more than one parameter group", argument);
}
