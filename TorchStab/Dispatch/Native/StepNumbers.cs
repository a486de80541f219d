using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The numbers of a step as tensors on the parameters' device, each made once: libtorch's stable C interface has no Scalars.</summary>
/// <param name="dtype">The dtype of the arithmetic.</param>
/// <param name="device">The device.</param>
internal sealed class StepNumbers(ScalarType dtype, Device device) : IDisposable
{
    private readonly Dictionary<double, Tensor> _made = [];

    public ScalarType Dtype => dtype;

    public Device Device => device;

    public nint Of(double number)
    {
        if (!_made.TryGetValue(number, out var made)) _made.Add(number, made = tensor(number, dtype: dtype, device: device).DetachFromDisposeScope());
        return made.Handle;
    }

    public void Dispose()
    {
        foreach (var made in _made.Values) made.Dispose();
    }
}
