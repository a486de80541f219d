using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <content>Weights that are computed from other parameters: weight and spectral normalization.</content>
public abstract partial class LayerNormCell<TState, TResult> : IParametrizable
{
    private ParametrizationTable? _table;

    IReadOnlyList<string> IParametrizable.Weights => [nameof(weight_ih), nameof(weight_hh)];

    IEnumerable<(string Name, Parametrization Parametrization)> IParametrized.Parametrizations => Parametrizations;

    /// <summary>The input weights for one forward pass, parameters or computed.</summary>
    internal Tensor InputWeight => _weight_ih ?? Of(nameof(weight_ih)).Compute();

    /// <summary>The recurrent weights for one forward pass: read once and used in each step.</summary>
    internal Tensor RecurrentWeight => _weight_hh ?? Of(nameof(weight_hh)).Compute();

    /// <summary>The weights' dtype.</summary>
    internal ScalarType WeightDtype => Matrix(nameof(weight_ih)).dtype;

    private IEnumerable<(string Name, Parametrization Parametrization)> Parametrizations => _table?.Entries ?? [];

    void IParametrizable.Parametrize(string name, Parametrization parametrization)
    {
        if (_table is null) register_module(ParametrizationTable.Key, _table = new());
        _table.register_module(name, parametrization);
        Put(name, null);
    }

    void IParametrizable.Unparametrize(string name)
    {
        var parametrization = Of(name);
        var weight = parametrization.Release();
        _table!.register_module(name, null!);
        parametrization.Dispose();
        Put(name, weight);
        if (Parametrizations.Any()) return;
        register_module(ParametrizationTable.Key, null!);
        _table.Dispose();
        _table = null;
    }

    // Registered anew in their order, which is that of state_dict.
    private void Put(string name, Parameter? weight)
    {
        if (name == nameof(weight_ih)) _weight_ih = weight;
        else _weight_hh = weight;
        foreach (string key in (string[])[nameof(weight_ih), nameof(weight_hh), nameof(bias)]) ConditionallyRegisterParameter(key, (Parameter?)null);
        RegisterParameters();
    }

    private Parametrization Of(string name) => _table!.Of(name)!;

    /// <summary>What initialization writes: the weight, or the parameter that it is computed from.</summary>
    private Parameter Matrix(string name) => (name == nameof(weight_ih) ? _weight_ih : _weight_hh) ?? Of(name).Matrix;

    private Parameter Plain(Parameter value, string name) => _table?.Of(name) is null ? value : throw IsParametrized(name);

    private static InvalidOperationException IsParametrized(string name) =>
        new($"{name} is computed by parametrizations.{name}: read and write its parameters, or call stab.nn.utils.parametrize.remove_parametrizations(cell, "
            + $"\"{name}\") first");
}
