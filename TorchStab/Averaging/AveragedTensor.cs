using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Averaging;

/// <summary>The average of one tensor of a model. A tied weight has one under each of its names: they may be untied, as <c>model.to()</c> does.</summary>
internal sealed class AveragedTensor : IDisposable
{
    private readonly bool _isParameter;

    public AveragedTensor(string key, Tensor value)
    {
        (Key, _isParameter) = (key, value is Parameter);
        using var _ = no_grad();
        Average = value.detach().to(DtypeFor(value), value.device, copy: true).DetachFromDisposeScope();
    }

    /// <summary>The model's key.</summary>
    public string Key { get; }

    public Tensor Average { get; private set; }

    /// <summary>Whether the tensor is averaged; others are copied.</summary>
    public bool Averages(bool buffers) => (_isParameter || buffers) && (Average.is_floating_point() || Average.is_complex());

    /// <summary>Takes the value into the average: by the launch, or at once.</summary>
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

    // A model that was moved or converted takes its average along.
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

    // A change of w = 1e-3 is below half a unit in the last place of a half type: the average would stand still.
    private static ScalarType DtypeFor(Tensor value) => value.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : value.dtype;
}
