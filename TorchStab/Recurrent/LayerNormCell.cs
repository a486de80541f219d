using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Initialization;
using TorchStab.Normalization;
using TorchStab.Recurrent;
using TorchStab.Reparametrization;
using static TorchSharp.torch;
using static TorchStab.Scalars;
using Uniform = TorchStab.Initialization.Uniform;

namespace TorchStab.Modules;

/// <summary>The base class of the layer-normalized recurrent cells: input and recurrent weights, a bias, loading and moving.</summary>
/// <typeparam name="TState">The state that <c>forward</c> takes.</typeparam>
/// <typeparam name="TResult">The state that <c>forward</c> returns.</typeparam>
public abstract partial class LayerNormCell<TState, TResult> : nn.Module<Tensor, TState, TResult>
{
    private readonly long _gates;
    private readonly bool _orthogonal;
    private Parameter? _weight_ih, _weight_hh, _bias;

    private protected LayerNormCell(
        string name, long gates, long input_size, long hidden_size, bool bias, double eps, bool orthogonal, Device? device, ScalarType? dtype)
        : base(name)
    {
        RecurrentCheck.Sizes(input_size, hidden_size);
        if (orthogonal && dtype is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64)
            throw new ArgumentException($"expected a real dtype for orthogonal weights, got {dtype}", nameof(dtype));
        (this.input_size, this.hidden_size, this.eps, _gates, _orthogonal) = (input_size, hidden_size, eps, gates, orthogonal);
        _weight_ih = ParameterFactory.Zeros([gates * hidden_size, input_size], dtype, device, nameof(input_size));
        _weight_hh = ParameterFactory.Zeros([gates * hidden_size, hidden_size], dtype, device, nameof(hidden_size));
        if (bias) _bias = ParameterFactory.Zeros([gates * hidden_size], dtype, device, nameof(hidden_size));
        RegisterParameters();
    }

    /// <summary>The number of features of a step's input.</summary>
    public long input_size { get; }

    /// <summary>The number of features of the state.</summary>
    public long hidden_size { get; }

    /// <summary>The number that the normalizations add to the variance.</summary>
    public double eps { get; }

    /// <summary>The input weights, shape (gates · hidden_size, input_size). The module owns a parameter that is set here.</summary>
    /// <exception cref="InvalidOperationException">The weight is parametrized (<c>stab.nn.utils.parametrizations</c>): it is computed, and no
    /// parameter.</exception>
    public Parameter weight_ih
    {
        get => _weight_ih ?? throw IsParametrized(nameof(weight_ih));
        set => Set(ref _weight_ih, Plain(value, nameof(weight_ih)));
    }

    /// <summary>The recurrent weights, shape (gates · hidden_size, hidden_size). The module owns a parameter that is set here.</summary>
    /// <exception cref="InvalidOperationException">The weight is parametrized (<c>stab.nn.utils.parametrizations</c>): it is computed, and no
    /// parameter.</exception>
    public Parameter weight_hh
    {
        get => _weight_hh ?? throw IsParametrized(nameof(weight_hh));
        set => Set(ref _weight_hh, Plain(value, nameof(weight_hh)));
    }

    /// <summary>The gates' bias, shape (gates · hidden_size); null without a bias. The module owns a parameter that is set here.</summary>
    public Parameter? bias
    {
        get => _bias;
        set => Set(ref _bias, value);
    }

    /// <summary>
    /// Draws new weights: input weights from U(−1/√hidden_size, 1/√hidden_size), recurrent weights orthogonal for each gate (or from the same
    /// distribution if the constructor says so). The bias becomes 0; the normalizations get weight 1 and bias 0.
    /// </summary>
    public virtual void reset_parameters()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        double bound = 1 / Math.Sqrt(hidden_size);
        Uniform.Fill(Matrix(nameof(weight_ih)), -bound, bound, generator: null);
        var recurrent = Matrix(nameof(weight_hh));
        if (!_orthogonal) Uniform.Fill(recurrent, -bound, bound, generator: null);
        else
            for (long gate = 0; gate < _gates; gate++) Orthogonal.Fill(recurrent.narrow(0, gate * hidden_size, hidden_size), gain: 1, generator: null);
        foreach (var (_, parametrization) in Parametrizations) parametrization.Follow();
        _bias?.fill_(Zero);
        foreach (var norm in children().OfType<LayerNorm>()) norm.reset_parameters();
    }

    /// <inheritdoc cref="AffineModule.load_state_dict"/>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) =>
        new StateLoad(GetName(), state_dict(), OlderKeys.Renamed(this, source), skip).Run(strict);

    /// <inheritdoc cref="AffineModule.load"/>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters);

    /// <summary>The class name, the sizes and eps; <c>bias=False</c> for a cell without a bias.</summary>
    public override string ToString() => $"{GetName()}({input_size}, {hidden_size}{(_bias is null ? ", bias=False" : "")}, eps={Repr.Of(eps)})";

    /// <summary>Registers a child LayerNorm with the cell's eps.</summary>
    private protected LayerNorm AddNorm(string name, long features, Device? device, ScalarType? dtype)
    {
        var norm = new LayerNorm([features], eps, elementwise_affine: true, bias: true, device, dtype);
        register_module(name, norm);
        return norm;
    }

    /// <inheritdoc/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        return Move(new StateMove(device, dtype, non_blocking), child => child.to(device, dtype, non_blocking));
    }

    /// <inheritdoc/>
    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking) =>
        Move(new StateMove(new Device(deviceType, deviceIndex), null, non_blocking), child => child.to(deviceType, deviceIndex, non_blocking));

    /// <inheritdoc/>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        return Move(new StateMove(null, dtype, non_blocking), child => child.to(dtype, non_blocking));
    }

    /// <summary>Does nothing: the constructor registers all parameters under PyTorch's names, which are not those of the fields.</summary>
    protected override void RegisterComponents() { }

    private LayerNormCell<TState, TResult> Move(StateMove move, Action<nn.Module> moveChild)
    {
        Set(ref _weight_ih, move.Of(_weight_ih));
        Set(ref _weight_hh, move.Of(_weight_hh));
        Set(ref _bias, move.Of(_bias));
        foreach (var child in children()) moveChild(child);
        if (move.Device is not { } device) return this;
        _deviceType = device.type;
        _deviceIndex = device.type == DeviceType.CUDA ? device.index : -1;
        return this;
    }

    private void Set(ref Parameter? field, Parameter? value)
    {
        if (ReferenceEquals(field, value)) return;
        var old = field;
        field = value;
        value?.DetachFromDisposeScope();
        old?.Dispose();
        RegisterParameters();
    }

    private void RegisterParameters()
    {
        ConditionallyRegisterParameter(nameof(weight_ih), _weight_ih);
        ConditionallyRegisterParameter(nameof(weight_hh), _weight_hh);
        ConditionallyRegisterParameter(nameof(bias), _bias);
    }
}
