using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Finds the layers that a norm may follow, by their positions in the model. A proof then shows which one it follows.</summary>
internal sealed class FoldingCandidates(SurgeryPlan plan)
{
    public static bool Fit(nn.Module layer, nn.Module norm) => LinearView.Of(layer) is { } l && BatchNormView.Of(norm) is { } n
        && l.OutChannels == n.Channels && l.Fits(n) && !layer.training && !norm.training;

    /// <summary>
    /// The layers inside the norm's parent, at any depth, that nothing outside the parent holds; the nearest before the norm first. If the parent is a
    /// Sequential, only the layers in the child before the norm, whose output the norm gets.
    /// </summary>
    public IReadOnlyList<ModuleNode> Of(ModuleNode norm)
    {
        var parent = norm.Parent!;
        var inside = Below(parent);
        if (!HeldBy(norm.Module, inside)) return [];
        var nodes = plan.Nodes.Where(n => n.Module != parent && inside.Contains(n.Module)).ToList();
        int position = nodes.IndexOf(norm);
        var near = nodes.Take(position).Reverse().Concat(nodes.Skip(position)).Where(n => Fit(n.Module, norm.Module) && HeldBy(n.Module, inside));
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

    /// <summary>Whether a hook reads the layer's output: after the layer, after a module around it, or before the norm.</summary>
    public static bool IsWatched(FoldingPair pair)
    {
        if (TorchSharpInternals.HasPreHooks((nn.Module<Tensor, Tensor>)pair.Norm.Module)) return true;
        return pair.Layer.Path.Skip(1).Reverse().TakeWhile(module => module != pair.Norm.Parent)
            .Any(module => module is nn.Module<Tensor, Tensor> hooked && TorchSharpInternals.HasPostHooks(hooked));
    }

    private bool HeldBy(nn.Module module, HashSet<nn.Module> owners) => plan.Graph.SlotsOf(module).All(s => owners.Contains(s.Owner));

    private static HashSet<nn.Module> Below(nn.Module module) => new(module.modules().Prepend(module), ReferenceEqualityComparer.Instance);
}
