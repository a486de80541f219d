using System.Diagnostics.CodeAnalysis;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TorchStab.Normalization;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Base of the normalization modules: an optional scale (<see cref="weight"/>) and shift (<see cref="bias"/>) under PyTorch's
/// state-dict keys. Loading checks every key and shape before it writes anything.
/// </summary>
public abstract class AffineModule : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = nameof(weight))]
    private Parameter? _weight;

    [ComponentName(Name = nameof(bias))]
    private Parameter? _bias;

    private protected AffineModule(string name) : base(name) { }

    /// <summary>
    /// The scale; null if the module has none. Setting it gives the module ownership and disposes the old tensor; null unregisters the scale.
    /// </summary>
    [AllowNull]
    public Parameter weight
    {
        get => _weight!;
        set => SetParameter(ref _weight, value);
    }

    /// <summary>
    /// The shift; null if the module has none. Setting it gives the module ownership and disposes the old tensor; null unregisters the shift.
    /// </summary>
    public Parameter? bias
    {
        get => _bias;
        set => SetParameter(ref _bias, value);
    }

    /// <summary><see cref="weight"/> as a nullable type. The public property has torch.nn's type, which is not nullable.</summary>
    private protected Parameter? WeightOrNull => _weight;

    /// <summary>A state-dict key that older files do not have. A missing key is not an error; its tensor is set to 0.</summary>
    private protected virtual string? KeyOlderFilesLack => null;

    /// <summary>Sets the scale to 1 and the shift to 0.</summary>
    public virtual void reset_parameters()
    {
        using var _ = no_grad();
        _weight?.fill_(One);
        _bias?.fill_(Zero);
    }

    /// <summary>The arguments that <see cref="ToString"/> prints, in PyTorch's format.</summary>
    /// <returns>For example "64, eps=1e-05, affine=True".</returns>
    public abstract string extra_repr();

    /// <summary>The class name and its arguments, as PyTorch prints the module.</summary>
    public override string ToString() => $"{GetName()}({extra_repr()})";

    /// <summary>
    /// Copies parameters and buffers from <paramref name="source"/>. If one entry does not fit, nothing is written.
    /// </summary>
    /// <param name="source">Tensors by key; they are converted to the module's dtypes and devices.</param>
    /// <param name="strict">Whether missing and unexpected keys are errors; default true. A wrong shape is always an error.</param>
    /// <param name="skip">Keys that are not loaded; null (the default): none.</param>
    /// <returns>The missing and the unexpected keys.</returns>
    /// <exception cref="InvalidOperationException">A key is missing or unexpected, or a shape differs; the message names each.</exception>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) =>
        new StateLoad(GetName(), state_dict(), source, skip, KeyOlderFilesLack).Run(strict);

    /// <summary>
    /// Reads a file that <c>save</c> of this module or of the torch.nn module has written. If one entry does not fit, nothing is written to the module.
    /// </summary>
    /// <param name="reader">The stream, at the first entry.</param>
    /// <param name="strict">Whether missing and unexpected keys are errors; default true. A wrong shape is always an error.</param>
    /// <param name="skip">Keys that are not loaded; null (the default): none.</param>
    /// <param name="loadedParameters">Receives every key of the file and whether the module has it; null (the default): not reported.</param>
    /// <returns>This module.</returns>
    /// <exception cref="InvalidOperationException">A key is missing or unexpected, or a shape differs; the message names each.</exception>
    /// <exception cref="InvalidDataException">The file is corrupted, or is not a state dict.</exception>
    /// <exception cref="EndOfStreamException">The file ends before the data that its headers announce.</exception>
    /// <remarks>TorchSharp's loader does not check its file. This one checks every count, dtype and size before it uses it.</remarks>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters, KeyOlderFilesLack);

    /// <inheritdoc/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        Move(new StateMove(device, dtype, non_blocking));
        return this;
    }

    /// <inheritdoc/>
    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking)
    {
        Move(new StateMove(new Device(deviceType, deviceIndex), null, non_blocking));
        return this;
    }

    /// <inheritdoc/>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        Move(new StateMove(null, dtype, non_blocking));
        return this;
    }

    /// <summary>Moves every parameter and buffer; a class with buffers overrides it to move them too.</summary>
    private protected virtual void Move(StateMove move)
    {
        weight = move.Of(_weight);
        bias = move.Of(_bias);
        if (move.Device is not { } device) return;
        _deviceType = device.type;
        _deviceIndex = device.type == DeviceType.CUDA ? device.index : -1;
    }

    private void SetParameter(ref Parameter? field, Parameter? value)
    {
        if (ReferenceEquals(field, value)) return;
        var old = field;
        field = value;
        value?.DetachFromDisposeScope();
        old?.Dispose();
        // Registers both again, so that a parameter that was removed and set again has its old position in state_dict.
        ConditionallyRegisterParameter(nameof(weight), (Parameter?)null);
        ConditionallyRegisterParameter(nameof(bias), (Parameter?)null);
        ConditionallyRegisterParameter(nameof(weight), _weight);
        ConditionallyRegisterParameter(nameof(bias), _bias);
    }
}
