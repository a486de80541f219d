using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// Finds the function after each layer from the order of modules. In a Sequential this is the order of execution. In a module with its own forward it is
/// the order of registration, which usually is the order of execution; the result is a guess, and its entry says so.
/// </summary>
internal static class ActivationOrder
{
    /// <summary>The function after each layer for which one is known or guessed.</summary>
    public static Dictionary<nn.Module, Activation> After(IReadOnlyList<ModuleNode> nodes)
    {
        var after = new Dictionary<nn.Module, Activation>(ReferenceEqualityComparer.Instance);
        foreach (var node in nodes.Where(n => LayerKind.IsChain(n.Module) && !(n.Path.Count > 1 && LayerKind.IsChain(n.Path[^2]))))
            Follow(Chain(node.Module), "", after);
        foreach (var node in nodes.Where(n => !LayerKind.IsChain(n.Module) && !LayerKind.IsNorm(n.Module))) InBlock(node.Module, after);
        return after;
    }

    /// <summary>
    /// Finds the functions in a chain of modules. Norms, dropout, pooling and other modules without weights are skipped; if another layer or the end comes
    /// next, no function follows.
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

    /// <summary>The layer itself or, for a module of layers without a function (ConvBN), its last registered layer.</summary>
    private static nn.Module? LastLayer(nn.Module module)
    {
        if (!module.children().Any() || LayerKind.IsLinearOrConvolution(module)) return module;
        var inside = module.modules().ToList();
        return inside.Exists(m => Activation.Of(m) is not null) ? null : inside.FindLast(LayerKind.IsLinearOrConvolution);
    }

    private static void InBlock(nn.Module block, Dictionary<nn.Module, Activation> after)
    {
        var members = block.children().SelectMany(Chain).ToList();
        var layers = members.FindAll(LayerKind.IsLinearOrConvolution);
        var functions = block.children().Where(m => Activation.Of(m) is not null).ToList();
        if (layers.Count == 0 || functions.Count == 0) return;
        bool apart = members.IndexOf(functions[0]) > members.FindLastIndex(HasLayer) || members.IndexOf(functions[^1]) < members.FindIndex(HasLayer);
        if (!apart) Follow(members, Activation.ByOrder, after);
        else if (functions.Count == layers.Count) // all layers, then all functions, or the reverse: one function for each layer
            foreach (var (layer, function) in layers.Zip(functions)) after.TryAdd(layer, Activation.Of(function)! with { How = Activation.ByOrder });
        var kinds = functions.ConvertAll(m => Activation.Of(m)!).FindAll(a => a.Nonlinearity != Nonlinearity.Sigmoid).Distinct().ToList();
        if (kinds.Count != 1) return;
        foreach (var layer in layers.Where(l => Shares(l, layers, members, functions.Count))) after.TryAdd(layer, kinds[0] with { How = Activation.ByOrder });
    }

    /// <summary>
    /// Whether a layer uses the function that its block registers once for all layers. A layer before a channel norm does; of the others, all but the
    /// block's last layer, which makes the output. A block with a norm of rows is a transformer, in which only the two layers of an MLP are known.
    /// </summary>
    private static bool Shares(nn.Module layer, List<nn.Module> layers, List<nn.Module> members, int functions)
    {
        int next = members.IndexOf(layer) + 1;
        bool normalized = next < members.Count && LayerKind.IsChannelNorm(members[next]);
        if (normalized || members.Count(LayerKind.IsChannelNorm) >= layers.Count) return true;
        bool rows = members.Exists(m => LayerKind.IsAttention(m) || (LayerKind.IsNorm(m) && !LayerKind.IsChannelNorm(m)));
        return layer != layers[^1] && (!rows || layers.Count == functions + 1);
    }

    private static bool HasLayer(nn.Module module) => LayerKind.IsLinearOrConvolution(module) || module.modules().Any(LayerKind.IsLinearOrConvolution);

    private static IEnumerable<nn.Module> Chain(nn.Module module) =>
        LayerKind.IsChain(module) || module.GetType().Name.StartsWith("ModuleList`", StringComparison.Ordinal) ? module.children().SelectMany(Chain) : [module];
}
