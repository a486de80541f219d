using TorchStab.Normalization;

namespace TorchStab.Modules;

/// <summary>
/// Batch normalization followed by ReLU as one module: y = max(0, BatchNorm(x)), with all options of <see cref="BatchNorm"/>. NaN
/// remains NaN. The state dict is BatchNorm's.
/// </summary>
public abstract class BatchNormReLU : BatchNorm
{
    private protected BatchNormReLU(string name, NormSpec spec) : base(name, spec) => EndsInReLU = true;
}
