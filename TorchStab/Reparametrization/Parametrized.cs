using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Normalization;
using TorchStab.Reparametrization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// A linear layer, convolution or embedding of torch.nn whose weight is computed from other parameters in each call.
/// <c>stab.nn.utils.parametrizations.weight_norm</c> and <c>spectral_norm</c> replace the layer by it. Its parameters are <c>bias</c> and those
/// of <c>parametrizations.weight</c>, as in PyTorch.
/// </summary>
public sealed class Parametrized : nn.Module<Tensor, Tensor>, IParametrized
{
    private const string WeightName = "weight";
    private readonly ParametrizationTable _table = new();
    private Parameter? _bias;
    private bool _released;

    internal Parametrized(nn.Module<Tensor, Tensor> layer, Parametrization parametrization)
        : base($"Parametrized{layer.GetType().Name}")
    {
        (Layer, this.parametrization, _bias) = (layer, parametrization, layer.get_parameter(nameof(bias)));
        ConditionallyRegisterParameter(nameof(bias), _bias);
        _table.register_module(WeightName, parametrization);
        register_module(ParametrizationTable.Key, _table);
        train(layer.training);
    }

    /// <summary>The parametrization that computes the weight.</summary>
    public Parametrization parametrization { get; }

    /// <summary>The bias; null if the layer has none.</summary>
    public Parameter? bias => _bias;

    /// <summary>
    /// The weight. Each read computes it again, differentiable with respect to its parameters; the caller disposes it. In training mode each read makes
    /// the power iterations of spectral normalization, as in PyTorch.
    /// </summary>
    public Tensor weight => parametrization.Compute();

    /// <summary>The layer that this module replaces; only its settings are used.</summary>
    internal nn.Module<Tensor, Tensor> Layer { get; }

    IEnumerable<(string Name, Parametrization Parametrization)> IParametrized.Parametrizations => _table.Entries;

    /// <summary>Computes the layer's output with the computed weight.</summary>
    /// <param name="input">An input of the layer.</param>
    /// <returns>The layer's output.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="input"/> is null.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var scope = NewDisposeScope();
        return LayerCall.Run(Layer, input, parametrization, _bias).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Loads a state dict. Older keys (<c>weight_g</c>, <c>weight_v</c>; <c>weight_orig</c>, <c>weight_u</c>, <c>weight_v</c>) are accepted too.
    /// </summary>
    /// <inheritdoc cref="AffineModule.load_state_dict"/>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) =>
            new StateLoad(GetName(), state_dict(), OlderKeys.Renamed(this, source), skip).Run(strict);

    /// <inheritdoc cref="AffineModule.load"/>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters);

    /// <summary>The class name and the parametrization.</summary>
    public override string ToString() => $"{GetName()}({WeightName}={parametrization})";

    /// <summary>Removes weight and bias from this module, which cannot be used afterwards.</summary>
    internal (Parameter Weight, Parameter? Bias) Release()
    {
        var weight = parametrization.Release();
        ConditionallyRegisterParameter(nameof(bias), (Parameter?)null);
        _released = true;
        return (weight, _bias);
    }

    /// <inheritdoc/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        _table.to(device, dtype, non_blocking);
        return MoveBias(new StateMove(device, dtype, non_blocking));
    }

    /// <inheritdoc/>
    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking)
    {
        _table.to(deviceType, deviceIndex, non_blocking);
        return MoveBias(new StateMove(new Device(deviceType, deviceIndex), null, non_blocking));
    }

    /// <inheritdoc/>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        _table.to(dtype, non_blocking);
        return MoveBias(new StateMove(null, dtype, non_blocking));
    }

    /// <summary>
    /// Does nothing: the constructor has registered the layer and its parametrization under PyTorch's names, which differ from the field names.
    /// </summary>
    protected override void RegisterComponents() { }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing && !_released) Layer.Dispose();
    }

    private Parametrized MoveBias(StateMove move)
    {
        var moved = move.Of(_bias);
        if (!ReferenceEquals(moved, _bias))
        {
            _bias!.Dispose();
            ConditionallyRegisterParameter(nameof(bias), _bias = moved);
        }
        if (move.Device is not { } device) return this;
        _deviceType = device.type;
        _deviceIndex = device.type == DeviceType.CUDA ? device.index : -1;
        return this;
    }
}
