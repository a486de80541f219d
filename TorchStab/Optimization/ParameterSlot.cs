using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>A parameter's place in an optimizer. It outlives the parameter object, which <c>.to()</c> replaces.</summary>
internal sealed class ParameterSlot(Parameter parameter, string? name, OptimizerState state)
{
    public Parameter Parameter { get; set; } = parameter;

    public string? Name { get; } = name;

    public OptimizerState State { get; set; } = state;

    public string Label(int group, int index) => Name ?? (group == 0 ? $"parameter {index}" : $"parameter {index} of group {group}");
}

/// <summary>What the update of one parameter works with: the gradient is read through the coefficient.</summary>
internal readonly record struct ParameterUpdate(Parameter Parameter, Tensor Gradient, OptimizerState State, GradientCoefficient Coefficient);
