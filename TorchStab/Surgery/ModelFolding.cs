using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A layer and the norm that may be folded into it.</summary>
internal sealed record FoldingPair(ModuleNode Layer, ModuleNode Norm);

/// <summary>
/// fuse_norms: folds all norms of a model. In a Sequential the layer before a norm is known. In other modules the order is in the code of forward, and a pair
/// is folded only if <see cref="FlowProof"/> shows that the norm, and nothing else, gets the layer's output. The proof is also needed for a norm that
/// accepts inputs of several ranks, because its channels are the layer's for one of them only.
/// </summary>
internal sealed class ModelFolding : IDisposable
{
    private readonly nn.Module _model;
    private readonly Tensor? _example;
    private readonly SurgeryPlan _plan;
    private readonly FoldingCandidates _candidates;
    private readonly Dictionary<nn.Module, FoldingPair> _pairs = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<nn.Module> _layers = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<object> _shared = new(ReferenceEqualityComparer.Instance);
    private FlowProof? _proof;

    private ModelFolding(nn.Module model, Tensor? example)
    {
        (_model, _example) = (model, example);
        _plan = new SurgeryPlan(model);
        _candidates = new FoldingCandidates(_plan);
        // Finds shared tensors by their memory: two layers may have a Parameter object each for one weight. Remembers the objects, because a proof exchanges
        // the memory behind them.
        var tensors = _plan.Nodes.SelectMany(n => TorchSharpInternals.OwnTensors(n.Module)).Where(t => !t.IsInvalid);
        foreach (var group in tensors.GroupBy(ParameterIdentity.Of).Where(g => g.Count() > 1)) _shared.UnionWith(group);
    }

    public static T Fold<T>(T model, out SurgeryReport report, Tensor? example) where T : nn.Module
    {
        NormSwap.RequireContainer(model, nameof(model));
        if (example is not null && model is not nn.Module<Tensor, Tensor>)
            throw new ArgumentException($"{model.GetType().Name} does not take one tensor and return one; an example can't be run through it", nameof(example));
        using var folding = new ModelFolding(model, example);
        if (model.training)
            throw new InvalidOperationException($"{PairFolding.OnlyForEval} Batch statistics differ from call to call; call model.eval() first.");
        folding.PairNeighbours();
        foreach (var node in folding._plan.Nodes) folding.Plan(node);
        UnreachableNorms.List(folding._plan, null, BatchNormView.IsBatchNorm);
        folding.Dispose(); // ends the proof, so that the model has its own tensors again
        report = folding._plan.Commit(folding.Finish);
        return model;
    }

    public void Dispose()
    {
        _proof?.Dispose();
        _proof = null;
    }

    private void PairNeighbours()
    {
        foreach (var sequence in _plan.Nodes)
            foreach (var (layer, norm, slots) in SequentialPairs.Of(sequence, _plan.Graph))
                if (slots.Count == _plan.Graph.SlotsOf(norm.Module).Count && FoldingCandidates.Fit(layer.Module, norm.Module) && _layers.Add(layer.Module))
                    _pairs.TryAdd(norm.Module, new FoldingPair(layer, norm));
    }

    private void Plan(ModuleNode node)
    {
        if (!BatchNormView.IsBatchNorm(node.Module)) return;
        var type = node.Module is BatchNormReLU ? typeof(ReLU) : typeof(Identity);
        if (BatchNormView.Of(node.Module) is not { } norm) _plan.Refuse(node, "it has no running statistics: what it does depends on its batch");
        else if (node.Module.training) _plan.Refuse(node, "it is in training mode");
        else if (!_plan.CanReplace(node, _plan.Graph.SlotsOf(node.Module), type)) return;
        else
        {
            var known = _pairs.GetValueOrDefault(node.Module);
            string? reason = known is null ? null : Obstacle(known);
            var pair = known;
            if (reason is null && (known is null || norm.TakesSeveralRanks)) (pair, reason) = Prove(node, norm, known);
            reason ??= Obstacle(pair!);
            if (reason is null) Exchange(node, pair!, type);
            else _plan.Refuse(node, reason);
        }
    }

    private void Exchange(ModuleNode node, FoldingPair pair, Type type)
    {
        _pairs[node.Module] = pair;
        _layers.Add(pair.Layer.Module);
        _plan.TryReplace(node, type, $"{NormNames.Of(type)}, folded into {pair.Layer.Name}", () => type == typeof(ReLU) ? nn.ReLU() : nn.Identity());
    }

    /// <summary>The pair of a norm and the layer that feeds it; or null, and the reason why none was found.</summary>
    private (FoldingPair? pair, string? reason) Prove(ModuleNode node, BatchNormView norm, FoldingPair? known)
    {
        var candidates = known is not null ? [known.Layer] : _candidates.Of(node).Where(c => !_layers.Contains(c.Module)).ToList();
        if (candidates.Count == 0)
            return (null, "no layer was found that it may follow: one whose output has as many channels, in the dimension where it has its own, "
                + "and that belongs to no other norm");
        var views = candidates.Select(c => LinearView.Of(c.Module)!).ToList();
        var (layer, reason) = _example is null ? FlowTrials.Find(node.Parent!, views, norm) : Run(views, norm);
        if (layer is not null) return (new FoldingPair(candidates[views.IndexOf(layer)], node), null);
        if (_example is not null) return (null, reason);
        return (null, reason + (_model is nn.Module<Tensor, Tensor> ? "; pass an example input, which shows more"
            : "; fold a part that takes one tensor by itself, with an example input, which shows more"));
    }

    /// <summary>Runs the whole model on the example. One proof serves all norms.</summary>
    private (LinearView? layer, string? reason) Run(List<LinearView> candidates, BatchNormView norm)
    {
        _proof ??= FlowProof.Within((nn.Module<Tensor, Tensor>)_model, _example!);
        bool seen = false;
        foreach (var candidate in candidates)
        {
            bool? holds = _proof.Holds(candidate, norm);
            if (holds == true) return (candidate, null);
            seen |= holds == false;
        }
        return (null, seen ? "no layer was found whose output goes to it, channel for channel, and nowhere else"
            : "on the example no layer before it changes the model's output enough to decide");
    }

    private string? Obstacle(FoldingPair pair)
    {
        if (FoldingCandidates.IsWatched(pair)) return $"a hook looks at what goes from {pair.Layer.Name} to it";
        return TorchSharpInternals.OwnTensors(pair.Layer.Module).Concat(TorchSharpInternals.OwnTensors(pair.Norm.Module)).Any(_shared.Contains)
            ? $"a parameter of it or of {pair.Layer.Name} is used by another layer too" : null;
    }

    private void Finish(nn.Module norm, nn.Module remaining)
    {
        var layer = LinearView.Of(_pairs[norm].Layer.Module)!;
        var (weight, bias) = layer.Fold(BatchNormView.Of(norm)!);
        layer.Set(weight, bias);
        TorchSharpInternals.ShareHooks((nn.Module<Tensor, Tensor>)norm, (nn.Module<Tensor, Tensor>)remaining);
        remaining.eval();
        norm.Dispose();
    }
}
