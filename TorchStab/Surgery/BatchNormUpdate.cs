using TorchStab.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Surgery;

/// <summary>
/// update_bn. Measures layer after layer, in the order of their first call, each in one run of the model over the whole data set in eval mode, after all
/// layers before it have their final statistics. So each layer is measured on the input that it will have in use, and the split into batches does not
/// matter. A layer that is called several times in a pass may get its own output, so that its statistics depend on themselves: then all are measured again
/// until the measured statistics equal the written ones.
/// </summary>
internal sealed class BatchNormUpdate<TBatch>(IEnumerable<TBatch> loader, Action<TBatch> forward)
{
    private readonly List<ModuleNode> _done = [];
    private readonly HashSet<nn.Module> _pending = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<nn.Module, DataSetMoments> _moments = new(ReferenceEqualityComparer.Instance);
    private bool _repeated;

    public static IReadOnlyList<string> Run(nn.Module model, IEnumerable<TBatch> loader, Action<TBatch> forward)
    {
        ArgumentNullException.ThrowIfNull(loader);
        ArgumentNullException.ThrowIfNull(forward);
        NormSwap.RequireContainer(model, nameof(model));
        var modes = SurgeryCheck.Nodes(model).Select(n => (n.Module, n.Module.training)).ToList();
        // TorchSharp's norms show their input only to hooks, which forward() does not run. TorchStab's norms with the same tensors replace them meanwhile.
        var standIns = NormSwap.StandIn(model, n => BatchNormView.Of(n) is not null);
        try
        {
            model.eval();
            var update = new BatchNormUpdate<TBatch>(loader, forward);
            update.Run([.. SurgeryCheck.Nodes(model).Where(n => BatchNormView.Of(n.Module) is not null && n.Module is not NormBase { Frozen: true })]);
            return [.. update._done.Select(n => n.Name)];
        }
        finally
        {
            NormSwap.Restore(model, standIns.Contains);
            // Parents first: train() changes the children too. A frozen norm remembers the mode by itself.
            foreach (var (module, training) in modes)
                if (module is not NormBase { Frozen: true }) module.train(training);
        }
    }

    private void Run(List<ModuleNode> norms)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var before = norms.Select(n => NormState.Of(n.Module)).Select(s => (state: s, values: s.Statistics().Select(t => t.clone()).ToList())).ToList();
        _pending.UnionWith(norms.Select(n => n.Module));
        var watches = norms.Select(n => Watch(n.Module)).ToList();
        try
        {
            while (norms.Count > 0 && Pass(norms) is { } node) norms.Remove(node);
            if (_repeated) new BatchNormFixedPoint(_done, MeasureAll).Find();
            if (norms.Find(n => n.Module is not BatchNorm) is { } hidden)
                throw new InvalidOperationException(
                    $"'{hidden.Name}' was never called through call(), and forward() runs no hooks that could read its input; "
                    + "declare it as Module<Tensor, Tensor> or use call()");
        }
        catch
        {
            foreach (var (state, values) in before)
                foreach (var (tensor, value) in state.Statistics().Zip(values)) tensor.copy_(value);
            throw;
        }
        finally
        {
            foreach (var unwatch in watches) unwatch();
        }
    }

    /// <summary>Runs over the data and writes the statistics of the layer that is called first; null if none is called.</summary>
    private ModuleNode? Pass(List<ModuleNode> norms)
    {
        try
        {
            int batches = Read();
            if (norms.Find(n => _moments.ContainsKey(n.Module)) is not { } node) return null;
            using var scope = NewDisposeScope();
            var moments = _moments[node.Module];
            var (mean, variance) = Measured(node);
            var state = NormState.Of(node.Module);
            state.RunningMean!.copy_(mean);
            state.RunningVar!.copy_(variance);
            state.Batches?.fill_(Held(moments.Batches));
            _repeated |= moments.Batches > batches;
            _pending.Remove(node.Module);
            _done.Add(node);
            return node;
        }
        finally
        {
            Forget();
        }
    }

    /// <summary>
    /// Measures the inputs of all layers in one run over the data, with the statistics that they have now. The caller's scope owns the result.
    /// </summary>
    private List<(Tensor mean, Tensor variance)> MeasureAll()
    {
        try
        {
            foreach (var node in _done) _moments.Add(node.Module, new DataSetMoments());
            Read();
            return [.. _done.Select(Measured)];
        }
        finally
        {
            Forget();
        }
    }

    private void Forget()
    {
        foreach (var moments in _moments.Values) moments.Dispose();
        _moments.Clear();
    }

    /// <summary>Runs the model on every batch, and counts them.</summary>
    private int Read()
    {
        int batches = 0;
        foreach (var batch in loader)
        {
            batches++;
            if (batch is null or ValueTuple<Tensor, Tensor> { Item1: null }) throw new InvalidOperationException("the loader gave null instead of a batch");
            using var scope = NewDisposeScope();
            forward(batch);
        }
        if (batches == 0)
            throw new InvalidOperationException(_done.Count == 0 ? "the loader gave no batch"
                : "the loader gave batches once only; it is read once for every BatchNorm, so pass a list or a DataLoader");
        return batches;
    }

    private (Tensor mean, Tensor variance) Measured(ModuleNode node)
    {
        if (!_moments[node.Module].HasVariance)
            throw new InvalidOperationException($"'{node.Name}' got one value per channel in the whole data set; a variance takes two");
        var (mean, variance) = _moments[node.Module].Result()!.Value;
        if (!(mean + variance).isfinite().all().item<bool>())
            throw new InvalidOperationException($"the input of '{node.Name}' is not finite on this data set; all statistics are as they were");
        return (mean, variance);
    }

    private void OnInput(nn.Module norm, Tensor input, Tensor? mask)
    {
        if (_moments.Count == 0 && _pending.Contains(norm)) _moments.Add(norm, new DataSetMoments());
        if (_moments.TryGetValue(norm, out var moments)) moments.Add(input, mask);
    }

    /// <summary>Starts to read a norm's input; returns an action that stops it.</summary>
    private Action Watch(nn.Module norm)
    {
        if (norm is BatchNorm ours)
        {
            ours.InputObserver = (input, mask) => OnInput(norm, input, mask);
            return () => ours.InputObserver = null;
        }
        var hook = ((nn.Module<Tensor, Tensor>)norm).register_forward_pre_hook((_, input) =>
        {
            OnInput(norm, input, null);
            return null!; // does not replace the input
        });
        return hook.remove;
    }
}
