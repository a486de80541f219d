using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>The entry of a parameter in an optimizer. It remains when <c>.to()</c> replaces the parameter object.</summary>
internal sealed class ParameterSlot(Parameter parameter, IReadOnlyList<string> names, MomentState state)
{
    private string? _label;

    public Parameter Parameter { get; private set; } = parameter;

    /// <summary>The shape, stored here because a parameter that was replaced is disposed.</summary>
    public long[] Shape { get; private set; } = parameter.shape;

    /// <summary>Whether the parameter can be written only in inference mode, which never changes for a tensor.</summary>
    public bool IsInference { get; private set; } = AutogradLibrary.IsInference(parameter);

    public string? Name => Names.Count > 0 ? Names[0] : null;

    /// <summary>The names of the parameter, one for each layer that shares it.</summary>
    public IReadOnlyList<string> Names { get; } = names;

    public MomentState State { get; } = state;

    public void Bind(Parameter parameter) => (Parameter, Shape, IsInference) = (parameter, parameter.shape, AutogradLibrary.IsInference(parameter));

    /// <summary>The parameter's name in reports; computed once.</summary>
    public string Label(int group, int index) => _label ??= Name ?? (group == 0 ? $"parameter {index}" : $"parameter {index} of group {group}");
}
