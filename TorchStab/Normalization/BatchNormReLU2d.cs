using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization and ReLU of (N, C, H, W): see <see cref="BatchNormReLU"/>. Made by <c>stab.nn.BatchNormReLU2d</c>.</summary>
public sealed class BatchNormReLU2d : BatchNormReLU
{
    internal BatchNormReLU2d(NormSpec spec) : base(nameof(BatchNormReLU2d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 4, 4);
}
