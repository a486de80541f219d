using TorchSharp.Modules;
using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>What a remedy depends on: the function after a layer, what the layer is, whether anything normalizes.</summary>
internal sealed class LayerContext
{
    // Linear layers and convolutions come with U(−1/√fan, 1/√fan); sampling and a few steps move its deviation by some percent.
    private const double DefaultTolerance = 0.1;
    private readonly Dictionary<string, nn.Module> _modules = [];
    private readonly Dictionary<nn.Module, Activation> _after;
    private readonly Dictionary<string, double> _firstNorms;

    public LayerContext(nn.Module model, GradientReport? first)
    {
        var nodes = ModuleTree.Nodes(model);
        foreach (var node in nodes) _modules.TryAdd(TrainableLayer.NameOf(node), node.Module);
        _after = ActivationOrder.After(nodes);
        Normalizes = nodes.Exists(n => LayerKind.IsNorm(n.Module));
        _firstNorms = first?.Layers.DistinctBy(l => l.Layer).ToDictionary(l => l.Layer, l => l.WeightNorm / Math.Sqrt(l.Elements)) ?? [];
    }

    public bool Normalizes { get; }

    /// <summary>The function that follows the layer; null where nothing shows it.</summary>
    public Activation? After(string layer) => _modules.TryGetValue(layer, out var module) ? _after.GetValueOrDefault(module) : null;

    public bool IsRecurrent(string layer) => _modules.TryGetValue(layer, out var module) && LayerKind.IsRecurrent(module);

    /// <summary>Whether the weights looked, at the first report, as TorchSharp makes them.</summary>
    public bool IsAsItCame(string layer)
    {
        if (!_modules.TryGetValue(layer, out var module) || !LayerKind.IsLinearOrConvolution(module)) return false;
        if (!_firstNorms.TryGetValue(layer, out double rms)) return false;
        var weight = module is Linear linear ? linear.weight! : ((Convolution)module).weight!;
        double fan = (double)weight.numel() / Math.Max(1, weight.size(0));
        return Math.Abs(rms * Math.Sqrt(3 * fan) - 1) < DefaultTolerance;
    }
}
