using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;
using ParamGroup = TorchSharp.Modules.ParamGroup;

namespace TorchStab.Diagnostics;

/// <summary>The optimizers that a monitor has seen step: which parameters they change, and what of a remedy they do already.</summary>
internal sealed class Steppers
{
    private readonly List<WeakReference<optim.Optimizer>> _seen = [];

    /// <summary>Whether the optimizer of the latest report clips.</summary>
    public bool Clip { get; private set; }

    public void See(optim.Optimizer optimizer)
    {
        if (_seen.Exists(s => s.TryGetTarget(out var known) && ReferenceEquals(known, optimizer))) return;
        _seen.RemoveAll(s => !s.TryGetTarget(out _));
        _seen.Add(new(optimizer));
    }

    /// <summary>The report, with what the optimizer's step has to do with each layer.</summary>
    public GradientReport Complete(GradientReport report, List<TrainableLayer> layers, optim.Optimizer optimizer)
    {
        Clip = Clips(optimizer);
        var (own, all) = (Of(optimizer), All());
        return report with { Layers = [.. report.Layers.Select((record, i) => Complete(record, layers[i], own, all))] };
    }

    /// <summary>The parameters of a model that one of the optimizers has. One that steps second is not known yet when the first one's step is recorded.</summary>
    public HashSet<(string Layer, string Name)> Stepped(nn.Module model)
    {
        var all = All();
        return [.. TrainableLayer.Of(model).SelectMany(l => l.Parameters.Where(p => !p.Parameter.IsInvalid && all.Contains(ParameterIdentity.OfLeaf(p.Parameter))).Select(p => (l.Name, p.Name)))];
    }

    private HashSet<ParameterIdentity> All() => [.. _seen.SelectMany(s => s.TryGetTarget(out var known) ? Of(known) : [])];

    private static GradientRecord Complete(GradientRecord record, TrainableLayer layer, HashSet<ParameterIdentity> own, HashSet<ParameterIdentity> all)
    {
        // Those of another optimizer stay as they are in this one's step.
        var parameters = layer.Parameters.Where(p => !p.Parameter.IsInvalid).Select(p => (p.Name, Identity: ParameterIdentity.OfLeaf(p.Parameter))).ToList();
        return record with
        {
            Change = parameters.Exists(p => own.Contains(p.Identity)) ? record.Change : double.NaN,
            NotStepped = [.. parameters.Where(p => !all.Contains(p.Identity) && !record.NotConnected.Contains(p.Name)).Select(p => p.Name)],
        };
    }

    private static bool Clips(optim.Optimizer optimizer) => optimizer is ClippedOptimizer or ClippingAwareOptimizer { Clip: not null }
        || optimizer is ClippingAwareOptimizer && optimizer.ParamGroups.OfType<ParamGroup>().Any(g => g.Options is ClipOptions o && (o.clipnorm ?? o.clipvalue ?? o.global_clipnorm) is not null);

    private static HashSet<ParameterIdentity> Of(optim.Optimizer optimizer) => [.. optimizer.parameters().Where(p => !p.IsInvalid).Select(ParameterIdentity.OfLeaf)];
}
