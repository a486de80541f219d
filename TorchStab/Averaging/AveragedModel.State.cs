using TorchSharp;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <content>Saves and loads the averages under PyTorch's keys.</content>
public sealed partial class AveragedModel
{
    /// <summary>The number of updates and the averages, under PyTorch's keys.</summary>
    /// <param name="destination">The dictionary to add them to; null (the default): a new one.</param>
    /// <param name="prefix">A prefix of the keys; null (the default): none.</param>
    /// <returns>The dictionary. Its tensors are the averages, not copies.</returns>
    public override Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
    {
        destination ??= [];
        string before = string.IsNullOrEmpty(prefix) ? "" : $"{prefix}.";
        destination.TryAdd($"{before}{nameof(n_averaged)}", _count);
        foreach (var tensor in _tensors) destination.TryAdd($"{before}{Prefix}{tensor.Key}", tensor.Average);
        return destination;
    }

    /// <inheritdoc cref="AffineModule.load_state_dict"/>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) => new StateLoad(GetName(), state_dict(), source, skip).Run(strict);

    /// <inheritdoc cref="AffineModule.load"/>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters);

    /// <inheritdoc/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking) => Move(device);

    /// <inheritdoc/>
    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking) => Move(new Device(deviceType, deviceIndex));

    /// <summary>Does nothing: the averages have the dtype of the model's weights, or float32 for float16 and bfloat16 weights.</summary>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking) => this;

    /// <summary>Does nothing: the averages have the model's names and are no registered parameters.</summary>
    protected override void RegisterComponents() { }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _tensors.ForEach(t => t.Dispose());
            _count.Dispose();
        }
        base.Dispose(disposing);
    }

    private AveragedModel Move(Device device)
    {
        using var _ = no_grad();
        _tensors.ForEach(t => t.Move(device));
        return this;
    }
}
