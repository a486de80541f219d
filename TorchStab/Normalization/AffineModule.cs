using System.Diagnostics.CodeAnalysis;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// A normalization over one tensor with an optional scale (<see cref="weight"/>) and shift (<see cref="bias"/>) under PyTorch's
/// state-dict keys. Loading checks every key and shape before anything is written.
/// </summary>
public abstract class AffineModule : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = nameof(weight))]
    private Parameter? _weight;

    [ComponentName(Name = nameof(bias))]
    private Parameter? _bias;

    private protected AffineModule(string name) : base(name) { }

    /// <summary>The scale; null without one. A value set is owned by the module, the old one is disposed; null unregisters it.</summary>
    [AllowNull]
    public Parameter weight
    {
        get => _weight!;
        set => SetParameter(ref _weight, value);
    }

    /// <summary>The shift; null without one. A value set is owned by the module, the old one is disposed; null unregisters it.</summary>
    public Parameter? bias
    {
        get => _bias;
        set => SetParameter(ref _bias, value);
    }

    /// <summary><see cref="weight"/> with the null it can hold: its own type is torch.nn's, which hides it.</summary>
    private protected Parameter? WeightOrNull => _weight;

    /// <summary>A state-dict key that older files lack: when missing, it is no error and its tensor becomes 0.</summary>
    private protected virtual string? KeyOlderFilesLack => null;

    /// <summary>Sets the scale to 1 and the shift to 0.</summary>
    public virtual void reset_parameters()
    {
        using var _ = no_grad();
        _weight?.fill_(1);
        _bias?.fill_(0);
    }

    /// <summary>The arguments in <see cref="ToString"/>, in PyTorch's words.</summary>
    /// <returns>Such as "64, eps=1e-05, affine=True".</returns>
    public abstract string extra_repr();

    /// <summary>The class name and its arguments, as PyTorch prints the module.</summary>
    public override string ToString() => $"{GetName()}({extra_repr()})";

    /// <summary>
    /// Copies parameters and buffers from <paramref name="source"/>. Nothing is written unless everything fits.
    /// </summary>
    /// <param name="source">Values by key; other dtypes and devices are converted.</param>
    /// <param name="strict">Whether missing and unexpected keys are errors; default true. Wrong shapes always are.</param>
    /// <param name="skip">Keys to leave alone; null (the default): none.</param>
    /// <returns>The missing and the unexpected keys.</returns>
    /// <exception cref="InvalidOperationException">A key is missing or unexpected, or a shape differs; the message names each.</exception>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) =>
        new StateLoad(GetName(), state_dict(), source, skip, KeyOlderFilesLack).Run(strict);

    /// <summary>Reads what <c>save</c> wrote, here or in the torch.nn twin. Nothing is written to the module unless everything fits.</summary>
    /// <param name="reader">The stream, at the first entry.</param>
    /// <param name="strict">Whether missing and unexpected keys are errors; default true. Wrong shapes always are.</param>
    /// <param name="skip">Keys to leave alone; null (the default): none.</param>
    /// <param name="loadedParameters">Takes every key of the file and whether the module has it; null (the default): not asked for.</param>
    /// <returns>This module.</returns>
    /// <exception cref="InvalidOperationException">A key is missing or unexpected, or a shape differs; the message names each.</exception>
    /// <exception cref="InvalidDataException">The file is corrupted, or no state dict.</exception>
    /// <exception cref="EndOfStreamException">The file is cut short, or claims more than it holds.</exception>
    /// <remarks>TorchSharp's loader believes its file; here every count, dtype and size is checked before it is used.</remarks>
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

    /// <summary>Takes every parameter and buffer along; a class with buffers adds its own.</summary>
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
        // Both anew, so that a parameter that comes back takes its old place in state_dict.
        ConditionallyRegisterParameter(nameof(weight), (Parameter?)null);
        ConditionallyRegisterParameter(nameof(bias), (Parameter?)null);
        ConditionallyRegisterParameter(nameof(weight), _weight);
        ConditionallyRegisterParameter(nameof(bias), _bias);
    }
}
