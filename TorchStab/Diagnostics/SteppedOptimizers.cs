using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;
using ParamGroup = TorchSharp.Modules.ParamGroup;

namespace TorchStab.Diagnostics;

/// <summary>The optimizers whose steps a monitor recorded: the parameters that they change, and whether they clip.</summary>
internal sealed class SteppedOptimizers
{
    private readonly List<WeakReference<optim.Optimizer>> _seen = [];

    /// <summary>Whether the optimizer of the latest report clips.</summary>
    public bool Clip { get; private set; }

    public void Add(optim.Optimizer optimizer)
    {
        if (_seen.Exists(s => s.TryGetTarget(out var known) && ReferenceEquals(known, optimizer))) return;
        _seen.RemoveAll(s => !s.TryGetTarget(out _));
        _seen.Add(new(optimizer));
    }

    /// <summary>Adds to a report which layers the optimizer's step changes, and which parameters no optimizer has.</summary>
    public GradientReport Complete(GradientReport report, List<TrainableLayer> layers, optim.Optimizer optimizer)
    {
        Clip = Clips(optimizer);
        var (own, all) = (Of(optimizer), All());
        return report with { Layers = [.. report.Layers.Select((record, i) => Complete(record, layers[i], own, all))] };
    }

    /// <summary>
    /// The parameters of a model that one of the optimizers has. Read when the verdict is given: an optimizer that steps second is not known yet when
    /// the step of the first one is recorded.
    /// </summary>
    public HashSet<(string Layer, string Name)> Stepped(nn.Module model)
    {
        var all = All();
        return [.. from layer in TrainableLayer.Of(model)
                   from p in layer.Parameters
                   where !p.Parameter.IsInvalid && all.Contains(ParameterIdentity.OfLeaf(p.Parameter))
                   select (layer.Name, p.Name)];
    }

    private HashSet<ParameterIdentity> All() => [.. _seen.SelectMany(s => s.TryGetTarget(out var known) ? Of(known) : [])];

    private static GradientRecord Complete(GradientRecord record, TrainableLayer layer, HashSet<ParameterIdentity> own, HashSet<ParameterIdentity> all)
    {
        // This step does not change the parameters of another optimizer: it says nothing about their updates.
        var parameters = layer.Parameters.Where(p => !p.Parameter.IsInvalid).Select(p => (p.Name, Identity: ParameterIdentity.OfLeaf(p.Parameter))).ToList();
        return record with
        {
            Change = parameters.Exists(p => own.Contains(p.Identity)) ? record.Change : double.NaN,
            NotStepped = [.. parameters.Where(p => !all.Contains(p.Identity) && !record.NotConnected.Contains(p.Name)).Select(p => p.Name)],
        };
    }

    private static bool Clips(optim.Optimizer optimizer) => optimizer is ClippedOptimizer or ClippingAwareOptimizer { Clip: not null }
        || (optimizer is ClippingAwareOptimizer && optimizer.ParamGroups.OfType<ParamGroup>().Any(g => HasThreshold(g.Options)));

    private static bool HasThreshold(object options) => options is ClipOptions o && (o.clipnorm ?? o.clipvalue ?? o.global_clipnorm) is not null;

    private static HashSet<ParameterIdentity> Of(optim.Optimizer optimizer) =>
        [.. optimizer.parameters().Where(p => !p.IsInvalid).Select(ParameterIdentity.OfLeaf)];
}
