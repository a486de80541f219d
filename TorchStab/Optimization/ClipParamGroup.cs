using TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>A parameter group of a clipping-aware optimizer: parameters with optional names, and the options that differ from the optimizer's.</summary>
/// <typeparam name="TOptions">The class of the optimizer's options.</typeparam>
public abstract class ClipParamGroup<TOptions> : ParamGroup<TOptions>, INamedGroup where TOptions : ClipOptions
{
    private readonly IReadOnlyList<string>? _names;

    private protected ClipParamGroup() { }

    private protected ClipParamGroup(IEnumerable<Parameter> parameters, TOptions options) : base(parameters, options) { }

    private protected ClipParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, TOptions options)
    {
        ArgumentNullException.ThrowIfNull(named_parameters);
        var named = named_parameters.ToList();
        _names = named.ConvertAll(p => p.name);
        Parameters = named.ConvertAll(p => p.parameter);
        Options = options;
    }

    IReadOnlyList<string>? INamedGroup.Names => _names;
}

/// <summary>A group that has its parameters' names.</summary>
internal interface INamedGroup
{
    IReadOnlyList<string>? Names { get; }
}
