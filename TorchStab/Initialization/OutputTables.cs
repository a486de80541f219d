using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// Embeddings that serve as the output layer too (Press and Wolf 2017). What is looked up may be of any size, as a norm follows; what makes the
/// logits may not: with N(0, 1) and a normalized input of √d they have deviation √d, and the loss starts at several times ln(vocabulary). 1/(2√d) gives
/// them deviation 1/2 (GPT-2's 0.02 at its width of 768 is 0.55/√d), and serves the lookup as well.
/// </summary>
internal sealed class OutputTables
{
    private readonly HashSet<ParameterIdentity> _tied = [];
    private readonly HashSet<long> _widths = [];

    public OutputTables(IReadOnlyList<ModuleNode> nodes)
    {
        var embeddings = nodes.Where(n => n.Module is Embedding or EmbeddingBag).Select(n => (node: n, weight: Weight(n.Module))).ToList();
        if (embeddings.Count == 0) return;
        var linears = nodes.Where(n => n.Module is Linear).Select(n => (node: n, weight: Weight(n.Module))).ToList();
        var uses = linears.DistinctBy(l => ParameterIdentity.Of(l.weight)).ToDictionary(l => ParameterIdentity.Of(l.weight), l => l.node);
        foreach (var (node, weight) in embeddings)
        {
            long width = weight.size(1);
            if (uses.TryGetValue(ParameterIdentity.Of(weight), out var output)) Add(node, width, $"is the weight of {output.Name} too");
            else if (EndsInNorm(nodes, width) && !nodes.Any(n => n.Path.Count <= 2 && LayerKind.IsLinearOrConvolution(n.Module)) && !linears.Exists(l => l.weight.size(0) == weight.size(0)))
                Add(node, width, "may make the output too, as the model ends in a norm of its width and has no output layer");
        }

        _tied.UnionWith(embeddings.Select(e => ParameterIdentity.Of(e.weight)).Where(uses.ContainsKey));
    }

    /// <summary>What was found, in words.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>The deviation for tables of this width: one that is an output, and those that are added to it, such as positions.</summary>
    public double? Std(long width) => _widths.Contains(width) ? 0.5 / Math.Sqrt(width) : null;

    /// <summary>Whether it is the weight of an embedding and of a linear layer.</summary>
    public bool Tied(Tensor parameter) => _tied.Count > 0 && _tied.Contains(ParameterIdentity.Of(parameter));

    private void Add(ModuleNode node, long width, string why)
    {
        _widths.Add(width);
        Notes.Add($"{node.NameOf("weight")} {why}: embeddings of width {width} got deviation 1/(2√{width}), so that logits start small; EmbeddingStd asks for another");
    }

    private static bool EndsInNorm(IReadOnlyList<ModuleNode> nodes, long width) =>
        nodes.LastOrDefault(n => n.Module.named_parameters(false).Any())?.Module is { } last && LayerKind.IsNorm(last) && !LayerKind.IsChannelNorm(last)
        && last.named_parameters(false).First().parameter.NumberOfElements == width;

    private static Parameter Weight(nn.Module module) => module.named_parameters(false).First(p => p.name == "weight").parameter;
}
