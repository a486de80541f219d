using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A layer and the norm that may be folded into it.</summary>
internal sealed record FoldingPair(SurgeryNode Layer, SurgeryNode Norm);

/// <summary>
/// fuse_norms. In a Sequential the norm after a layer is known; elsewhere the order stands in the code of forward, and a pair is folded
/// only if <see cref="FlowProof"/> shows that the norm gets the layer's output and nobody else does.
/// </summary>
internal sealed class NormFolding
{
    private readonly SurgeryPlan _plan;
    private readonly Dictionary<nn.Module, FoldingPair> _pairs = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<nn.Module> _layers = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<ParameterIdentity> _shared;

    private NormFolding(nn.Module model)
    {
        _plan = new SurgeryPlan(model);
        _shared = [.. _plan.Nodes.SelectMany(n => Identities(n.Module)).GroupBy(i => i).Where(g => g.Count() > 1).Select(g => g.Key)];
    }

    public static T Fold<T>(T model, out SurgeryReport report, Tensor? example) where T : nn.Module
    {
        NormSwap.RequireContainer(model, nameof(model));
        if (example is not null && model is not nn.Module<Tensor, Tensor>)
            throw new ArgumentException($"{model.GetType().Name} does not take one tensor and give one; an example can't be run through it", nameof(example));
        var folding = new NormFolding(model);
        if (model.training)
            throw new InvalidOperationException($"{Folding.OnlyForEval} Batch statistics differ from call to call; call model.eval() first.");
        folding.PairNeighbours();
        foreach (var node in folding._plan.Nodes) folding.Plan(node, model, example);
        report = folding._plan.Commit(folding.Finish);
        return model;
    }

    private void PairNeighbours()
    {
        foreach (var sequence in _plan.Nodes)
            foreach (var (layer, norm, slots) in SequentialPairs.Of(sequence, _plan.Graph))
                if (slots.Count == _plan.Graph.SlotsOf(norm.Module).Count && Fits(layer.Module, norm.Module) && _layers.Add(layer.Module))
                    _pairs.TryAdd(norm.Module, new FoldingPair(layer, norm));
    }

    private void Plan(SurgeryNode node, nn.Module model, Tensor? example)
    {
        if (!BatchNormView.IsBatchNorm(node.Module)) return;
        var type = node.Module is BatchNormReLU ? typeof(ReLU) : typeof(Identity);
        if (BatchNormView.Of(node.Module) is null) _plan.Refuse(node, "it has no running statistics: what it does depends on its batch");
        else if (node.Module.training) _plan.Refuse(node, "it is in training mode");
        else if (!_plan.CanReplace(node, _plan.Graph.SlotsOf(node.Module), type)) return;
        else if ((_pairs.GetValueOrDefault(node.Module) ?? Prove(node, model, example)) is not { } pair)
            _plan.Refuse(node, example is null ? "no layer was found that it certainly follows; pass an example input, which shows more" : "no layer was found whose output goes to it and nowhere else");
        else if (Obstacle(pair) is { } reason) _plan.Refuse(node, reason);
        else Exchange(node, pair, type);
    }

    private void Exchange(SurgeryNode node, FoldingPair pair, Type type)
    {
        _pairs[node.Module] = pair;
        _layers.Add(pair.Layer.Module);
        _plan.TryReplace(node, type, $"{NormNames.Of(type)}, folded into {pair.Layer.Path}", () => type == typeof(ReLU) ? nn.ReLU() : nn.Identity());
    }

    private FoldingPair? Prove(SurgeryNode norm, nn.Module model, Tensor? example)
    {
        var parent = norm.Parent!;
        if (SequentialPairs.IsPlain(parent)) return null; // its order is known, and there was nothing
        var children = _plan.Nodes.Where(n => n.Parent == parent).ToList();
        int place = children.IndexOf(norm);
        var candidates = children.Where(c => Fits(c.Module, norm.Module) && !_layers.Contains(c.Module)
                && _plan.Graph.SlotsOf(c.Module).Concat(_plan.Graph.SlotsOf(norm.Module)).All(s => s.Owner == parent))
            .OrderBy(c => children.IndexOf(c) is var i && i < place ? place - i : children.Count + i).ToList();
        if (candidates.Count == 0) return null;
        using var proof = example is null ? FlowProof.Within(parent) : FlowProof.Within((nn.Module<Tensor, Tensor>)model, example);
        return candidates.Find(c => proof?.Holds(LinearView.Of(c.Module)!, BatchNormView.Of(norm.Module)!) ?? false) is { } layer ? new FoldingPair(layer, norm) : null;
    }

    private static bool Fits(nn.Module layer, nn.Module norm) => LinearView.Of(layer) is { } l && BatchNormView.Of(norm) is { } n
        && l.OutChannels == n.Channels && !layer.training && !norm.training;

    private string? Obstacle(FoldingPair pair)
    {
        if (TorchSharpInternals.HasPostHooks((nn.Module<Tensor, Tensor>)pair.Layer.Module) || TorchSharpInternals.HasPreHooks((nn.Module<Tensor, Tensor>)pair.Norm.Module))
            return $"a hook looks at what goes from {pair.Layer.Path} to it";
        return Identities(pair.Layer.Module).Concat(Identities(pair.Norm.Module)).Any(_shared.Contains)
            ? $"a parameter of it or of {pair.Layer.Path} is used by another layer too" : null;
    }

    private static IEnumerable<ParameterIdentity> Identities(nn.Module module) =>
        TorchSharpInternals.OwnTensors(module).Where(t => !t.IsInvalid).Select(ParameterIdentity.Of);

    private void Finish(nn.Module norm, nn.Module rest)
    {
        var (weight, bias) = LinearView.Of(_pairs[norm].Layer.Module)!.Fold(BatchNormView.Of(norm)!);
        LinearView.Of(_pairs[norm].Layer.Module)!.Set(weight, bias);
        TorchSharpInternals.ShareHooks((nn.Module<Tensor, Tensor>)norm, (nn.Module<Tensor, Tensor>)rest);
        rest.eval();
        norm.Dispose();
    }
}
