using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// Which function follows which layer, read from the order of modules. In a Sequential that is the order of execution. In a module with a forward
/// of its own it is the order of registration: what people usually write, and so a guess, which the entry says.
/// </summary>
internal static class ActivationOrder
{
    /// <summary>What follows each layer, of those where something is known or guessed.</summary>
    public static Dictionary<nn.Module, Activation> After(IReadOnlyList<ModuleNode> nodes)
    {
        var after = new Dictionary<nn.Module, Activation>(ReferenceEqualityComparer.Instance);
        foreach (var node in nodes.Where(n => LayerKind.IsChain(n.Module) && !(n.Path.Count > 1 && LayerKind.IsChain(n.Path[^2]))))
            Follow(Chain(node.Module), "", after);
        foreach (var node in nodes.Where(n => !LayerKind.IsChain(n.Module) && !LayerKind.IsNorm(n.Module))) InBlock(node.Module, after);
        return after;
    }

    /// <summary>
    /// One after the other: normalization, dropout, pooling and whatever else has no weights of its own is looked through; another layer or the
    /// end means that nothing follows.
    /// </summary>
    private static void Follow(IEnumerable<nn.Module> modules, string how, Dictionary<nn.Module, Activation> after)
    {
        Activation? next = null;
        foreach (var module in modules.Reverse())
        {
            if (Activation.Of(module) is { } activation)
            {
                next = activation with { How = how };
            }
            else if (!LayerKind.IsTransparent(module))
            {
                if (next is not null && LastLayer(module) is { } layer) after.TryAdd(layer, layer == module ? next : next with { How = Activation.ByOrder });
                next = null;
            }
        }
    }

    /// <summary>The layer itself; of a module around layers without a function (ConvBN) the one registered last.</summary>
    private static nn.Module? LastLayer(nn.Module module)
    {
        if (!module.children().Any()) return module;
        var inside = module.modules().ToList();
        return inside.Exists(m => Activation.Of(m) is not null) ? null : inside.FindLast(LayerKind.IsLinearOrConvolution);
    }

    private static void InBlock(nn.Module block, Dictionary<nn.Module, Activation> after)
    {
        var members = block.children().SelectMany(Chain).ToList();
        var layers = members.FindAll(LayerKind.IsLinearOrConvolution);
        var own = block.children().Where(m => Activation.Of(m) is not null).ToList();
        if (layers.Count == 0 || own.Count == 0) return;
        bool apart = members.IndexOf(own[0]) > members.FindLastIndex(HasLayer) || members.IndexOf(own[^1]) < members.FindIndex(HasLayer);
        if (!apart) Follow(members, Activation.ByOrder, after);
        else if (own.Count == layers.Count) // layers first, then their functions, or the other way round: each has its own
            foreach (var (layer, function) in layers.Zip(own)) after.TryAdd(layer, Activation.Of(function)! with { How = Activation.ByOrder });
        var kinds = own.ConvertAll(m => Activation.Of(m)!).FindAll(a => a.Nonlinearity != Nonlinearity.Sigmoid).Distinct().ToList();
        if (kinds.Count != 1) return;
        foreach (var layer in layers.Where(l => Shares(l, layers, members, own.Count))) after.TryAdd(layer, kinds[0] with { How = Activation.ByOrder });
    }

    /// <summary>
    /// Whether a layer uses a function that its block registers once for all: what a channel norm follows does; else all but the block's last
    /// layer, which makes the output. Blocks with a norm of rows are transformers, where only the two layers of an MLP are known.
    /// </summary>
    private static bool Shares(nn.Module layer, List<nn.Module> layers, List<nn.Module> members, int functions)
    {
        int place = members.IndexOf(layer);
        bool normalized = place + 1 < members.Count && LayerKind.IsChannelNorm(members[place + 1]);
        if (normalized || members.Count(LayerKind.IsChannelNorm) >= layers.Count) return true;
        bool rows = members.Exists(m => LayerKind.IsAttention(m) || (LayerKind.IsNorm(m) && !LayerKind.IsChannelNorm(m)));
        return layer != layers[^1] && (!rows || layers.Count == functions + 1);
    }

    private static bool HasLayer(nn.Module module) => LayerKind.IsLinearOrConvolution(module) || module.modules().Any(LayerKind.IsLinearOrConvolution);

    private static IEnumerable<nn.Module> Chain(nn.Module module) =>
        LayerKind.IsChain(module) || module.GetType().Name.StartsWith("ModuleList`", StringComparison.Ordinal) ? module.children().SelectMany(Chain) : [module];
}
