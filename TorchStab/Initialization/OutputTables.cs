using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// Embeddings that are also the output layer (Press and Wolf 2017). As a lookup, their scale does not matter, because a norm follows; as an output layer it
/// does. With N(0, 1) and a normalized input of norm √d, the logits have deviation √d, and the loss starts at several times ln(vocabulary). With deviation
/// 1/(2√d) the logits have deviation 1/2 (GPT-2's 0.02 at its width of 768 is 0.55/√d), and the lookup works as well.
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
            else if (EndsInNorm(nodes, width) && !HasOutputLayer(nodes) && !linears.Exists(l => l.weight.size(0) == weight.size(0)))
                Add(node, width, "may make the output too, as the model ends in a norm of its width and has no output layer");
        }

        _tied.UnionWith(embeddings.Select(e => ParameterIdentity.Of(e.weight)).Where(uses.ContainsKey));
    }

    /// <summary>A sentence for the report about each table that was found.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>
    /// The deviation of all embeddings of this width, if one of them is an output layer (others, such as positions, are added to it); else null.
    /// </summary>
    public double? Std(long width) => _widths.Contains(width) ? 0.5 / Math.Sqrt(width) : null;

    /// <summary>Whether a parameter is the weight of an embedding and of a linear layer.</summary>
    public bool Tied(Tensor parameter) => _tied.Count > 0 && _tied.Contains(ParameterIdentity.Of(parameter));

    private void Add(ModuleNode node, long width, string why)
    {
        _widths.Add(width);
        Notes.Add($"{node.NameOf("weight")} {why}: embeddings of width {width} got deviation 1/(2√{width}), so that logits start small; "
            + "EmbeddingStd sets another");
    }

    private static bool HasOutputLayer(IReadOnlyList<ModuleNode> nodes) => nodes.Any(n => n.Path.Count <= 2 && LayerKind.IsLinearOrConvolution(n.Module));

    private static bool EndsInNorm(IReadOnlyList<ModuleNode> nodes, long width) =>
        nodes.LastOrDefault(n => n.Module.named_parameters(false).Any())?.Module is { } last && LayerKind.IsNorm(last) && !LayerKind.IsChannelNorm(last)
        && last.named_parameters(false).First().parameter.NumberOfElements == width;

    private static Parameter Weight(nn.Module module) => module.named_parameters(false).First(p => p.name == "weight").parameter;
}
