using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Averaging;

/// <summary>The average of one tensor of a model. A tied weight has one average for each of its names, because <c>model.to()</c> unties weights.</summary>
internal sealed class AveragedTensor : IDisposable
{
    private readonly bool _isParameter;

    public AveragedTensor(string key, Tensor value)
    {
        (Key, _isParameter) = (key, value is Parameter);
        using var _ = no_grad();
        Average = value.detach().to(DtypeFor(value), value.device, copy: true).DetachFromDisposeScope();
    }

    /// <summary>The tensor's state-dict key in the model.</summary>
    public string Key { get; }

    public Tensor Average { get; private set; }

    /// <summary>Whether the tensor is averaged; otherwise it is copied.</summary>
    public bool Averages(bool buffers) => (_isParameter || buffers) && (Average.is_floating_point() || Average.is_complex());

    /// <summary>Updates the average with a value: adds it to the kernel launch if a kernel supports it, otherwise computes at once.</summary>
    public void Update(Tensor value, double weight, AverageLaunch launch)
    {
        Follow(value);
        if (launch.TryAdd(Average, value, weight)) return;
        using var _ = NewDisposeScope();
        Average.lerp_(value.to(Average.dtype), weight);
    }

    public void Copy(Tensor value)
    {
        Follow(value);
        Average.copy_(value);
    }

    /// <summary>Moves the average to a device.</summary>
    public void Move(Device device)
    {
        if (Average.device_type == device.type && (device.index < 0 || Average.device_index == device.index)) return;
        Replace(Average.to(device));
    }

    public void Dispose() => Average.Dispose();

    // Follows the model to another device or dtype.
    private void Follow(Tensor value)
    {
        if (Average.dtype != DtypeFor(value) || Average.device_type != value.device_type || Average.device_index != value.device_index)
            Replace(Average.to(DtypeFor(value), value.device));
    }

    private void Replace(Tensor moved)
    {
        Average.Dispose();
        Average = moved.DetachFromDisposeScope();
    }

    // With w = 1e-3 the change is below half a unit in the last place of a half-precision dtype, so such an average would not change.
    private static ScalarType DtypeFor(Tensor value) => value.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : value.dtype;
}
