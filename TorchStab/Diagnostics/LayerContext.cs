using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// The facts that a proposed fix depends on: the function after a layer, the layer's kind, whether the model normalizes, whether the optimizer clips.
/// </summary>
internal sealed class LayerContext
{
    // The default of linear layers and convolutions is U(−1/√fan, 1/√fan). Random sampling and a few steps change the deviation by a few percent.
    private const double DefaultTolerance = 0.1;
    private readonly Dictionary<string, nn.Module> _modules = [];
    private readonly Dictionary<nn.Module, Activation> _after;
    private readonly Dictionary<string, double> _firstNorms;

    public LayerContext(nn.Module model, GradientReport? first, bool clips)
    {
        Clips = clips;
        var nodes = ModuleTree.Nodes(model);
        foreach (var node in nodes) _modules.TryAdd(TrainableLayer.NameOf(node), node.Module);
        _after = ActivationOrder.After(nodes);
        int norms = nodes.Count(n => LayerKind.IsNorm(n.Module));
        Normalizes = norms > 0;
        NormalizesAll = norms > 0 && norms >= nodes.Count(n => Activation.Of(n.Module) is not null);
        _firstNorms = first?.Layers.DistinctBy(l => l.Layer).ToDictionary(l => l.Layer, l => l.WeightNorm / Math.Sqrt(l.Elements)) ?? [];
    }

    /// <summary>Whether the optimizer clips.</summary>
    public bool Clips { get; }

    /// <summary>Whether the model has a norm.</summary>
    public bool Normalizes { get; }

    /// <summary>Whether the model has at least as many norms as activation functions.</summary>
    public bool NormalizesAll { get; }

    /// <summary>The function that follows the layer; null if it is not known.</summary>
    public Activation? After(string layer) => _modules.TryGetValue(layer, out var module) ? _after.GetValueOrDefault(module) : null;

    public bool IsRecurrent(string layer) => _modules.TryGetValue(layer, out var module) && LayerKind.IsRecurrent(module);

    /// <summary>Whether a recurrent layer has gates.</summary>
    public bool IsGated(string layer) => _modules.TryGetValue(layer, out var module) && module.GetType().Name is var name
        && (name.Contains("LSTM", StringComparison.Ordinal) || name.Contains("GRU", StringComparison.Ordinal));

    /// <summary>Whether the weights had, at the first report, the deviation that suits this function, by fan-in, fan-out or their mean.</summary>
    public bool IsInitializedFor(string layer, Activation after)
    {
        if (!_modules.TryGetValue(layer, out var module) || !LayerKind.IsLinearOrConvolution(module)) return false;
        if (!_firstNorms.TryGetValue(layer, out double rms)) return false;
        var (fanIn, fanOut) = LayerKind.Fans(module, LayerKind.Weight(module));
        double gain = after.Nonlinearity is Nonlinearity.Sigmoid or Nonlinearity.Tanh or Nonlinearity.SELU or Nonlinearity.Linear ? 1 : 2;
        double[] suitable = [gain / fanIn, gain / fanOut, gain * 2 / (fanIn + fanOut)];
        return suitable.Any(variance => Math.Abs((rms / Math.Sqrt(variance)) - 1) < DefaultTolerance);
    }

    /// <summary>Whether the weights had, at the first report, the deviation of TorchSharp's default initialization.</summary>
    public bool HasDefaultWeights(string layer)
    {
        if (!_modules.TryGetValue(layer, out var module) || !LayerKind.IsLinearOrConvolution(module)) return false;
        if (!_firstNorms.TryGetValue(layer, out double rms)) return false;
        var weight = LayerKind.Weight(module);
        double fan = (double)weight.numel() / Math.Max(1, weight.size(0));
        return Math.Abs(rms * Math.Sqrt(3 * fan) - 1) < DefaultTolerance;
    }
}
