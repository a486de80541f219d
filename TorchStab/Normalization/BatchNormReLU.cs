using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Batch normalization followed by ReLU as one module: y = max(0, BatchNorm(x)), with everything of <see cref="BatchNorm"/>. NaN stays
/// NaN. The state dict is BatchNorm's.
/// </summary>
public abstract class BatchNormReLU : BatchNorm
{
    private protected BatchNormReLU(
        string name, long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(name, num_features, eps, momentum, affine, track_running_stats, device, dtype) => EndsInReLU = true;
}
