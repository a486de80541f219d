using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Which layers a norm may follow, by where they stand: a proof has to show which one it does.</summary>
internal sealed class FoldingCandidates(SurgeryPlan plan)
{
    public static bool Fit(nn.Module layer, nn.Module norm) => LinearView.Of(layer) is { } l && BatchNormView.Of(norm) is { } n
        && l.OutChannels == n.Channels && l.Fits(n) && !layer.training && !norm.training;

    /// <summary>
    /// The layers in the module around the norm, at any depth, that nothing outside of that module holds; the nearest before the norm first. In a
    /// Sequential those in the child before it only, whose output it gets.
    /// </summary>
    public IReadOnlyList<SurgeryNode> Of(SurgeryNode norm)
    {
        var parent = norm.Parent!;
        var inside = Below(parent);
        if (!HeldBy(norm.Module, inside)) return [];
        var nodes = plan.Nodes.Where(n => n.Module != parent && inside.Contains(n.Module)).ToList();
        int place = nodes.IndexOf(norm);
        var near = nodes.Take(place).Reverse().Concat(nodes.Skip(place)).Where(n => Fit(n.Module, norm.Module) && HeldBy(n.Module, inside));
        if (SequentialPairs.IsPlain(parent))
        {
            var children = parent.named_children().Select(c => c.module).ToList();
            int index = children.IndexOf(norm.Module);
            if (index < 1) return [];
            var before = Below(children[index - 1]);
            near = near.Where(n => before.Contains(n.Module));
        }
        return [.. near];
    }

    /// <summary>Whether a hook looks at what goes from the layer to the norm: behind the layer or a module that it ends, or before the norm.</summary>
    public bool Watched(FoldingPair pair)
    {
        if (TorchSharpInternals.HasPreHooks((nn.Module<Tensor, Tensor>)pair.Norm.Module)) return true;
        for (var node = pair.Layer; node.Module != pair.Norm.Parent && node.Parent is { } parent; node = plan.Nodes.First(n => n.Module == parent))
            if (node.Module is nn.Module<Tensor, Tensor> module && TorchSharpInternals.HasPostHooks(module)) return true;
        return false;
    }

    private bool HeldBy(nn.Module module, HashSet<nn.Module> owners) => plan.Graph.SlotsOf(module).All(s => owners.Contains(s.Owner));

    private static HashSet<nn.Module> Below(nn.Module module) => new(module.modules().Prepend(module), ReferenceEqualityComparer.Instance);
}
