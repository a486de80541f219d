using TorchSharp.Modules;
using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>The kind of function that a module applies, which decides what its output is examined for.</summary>
internal enum ActivationShape
{
    Other,
    Rectifier,
    Sigmoid,
    Tanh,
}

/// <summary>A module whose output the monitor records: one with parameters of its own, a norm, or an activation function.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Module">The module; null for a tensor that no module returns.</param>
/// <param name="Shape">The kind of function.</param>
/// <param name="ChannelAxis">The dimension of the units; null if it is that of the layer before.</param>
internal sealed record ActivationLayer(string Name, nn.Module? Module, ActivationShape Shape, int? ChannelAxis)
{
    /// <summary>Whether it is a normalization.</summary>
    public bool Normalizes { get; } = Module is not null && LayerKind.IsNorm(Module);

    public static IEnumerable<ActivationLayer> Of(nn.Module model) =>
        from node in ModuleTree.Nodes(model)
        let module = node.Module
        where LayerKind.IsNorm(module) || Activation.Of(module) is not null || LayerKind.Parameters(module).Any()
        select new ActivationLayer(TrainableLayer.NameOf(node), module, ShapeOf(module), AxisOf(module));

    private static ActivationShape ShapeOf(nn.Module module) => module switch
    {
        ReLU or ReLU6 => ActivationShape.Rectifier,
        Sigmoid or Hardsigmoid => ActivationShape.Sigmoid,
        Tanh or Hardtanh => ActivationShape.Tanh,
        _ when module.GetType().Name.Contains("NormReLU", StringComparison.Ordinal) => ActivationShape.Rectifier,
        _ => ActivationShape.Other,
    };

    // The axis of the channels; null for a function, which has that of the layer before it.
    private static int? AxisOf(nn.Module module)
    {
        string type = module.GetType().Name;
        bool channels = LayerKind.Layer(module) is Convolution || type.StartsWith("Batch", StringComparison.Ordinal)
            || type.StartsWith("Instance", StringComparison.Ordinal) || type.StartsWith("Group", StringComparison.Ordinal);
        return channels ? 1 : LayerKind.Parameters(module).Any() || LayerKind.IsNorm(module) ? -1 : null;
    }
}
