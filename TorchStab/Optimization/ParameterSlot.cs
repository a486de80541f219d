using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>A parameter's place in an optimizer. It outlives the parameter object, which <c>.to()</c> replaces.</summary>
internal sealed class ParameterSlot(Parameter parameter, IReadOnlyList<string> names, MomentState state)
{
    private string? _label;

    public Parameter Parameter { get; private set; } = parameter;

    /// <summary>Kept, because a parameter that was replaced cannot tell it any more.</summary>
    public long[] Shape { get; private set; } = parameter.shape;

    /// <summary>Whether only inference mode lets the parameter be written; it stays so as long as the parameter lives.</summary>
    public bool IsInference { get; private set; } = Writable.IsInference(parameter);

    public string? Name => Names.Count > 0 ? Names[0] : null;

    /// <summary>Of all layers that share it.</summary>
    public IReadOnlyList<string> Names { get; } = names;

    public MomentState State { get; } = state;

    public void Bind(Parameter parameter) => (Parameter, Shape, IsInference) = (parameter, parameter.shape, Writable.IsInference(parameter));

    /// <summary>What reports call it; made once, for its place does not change.</summary>
    public string Label(int group, int index) => _label ??= Name ?? (group == 0 ? $"parameter {index}" : $"parameter {index} of group {group}");
}
