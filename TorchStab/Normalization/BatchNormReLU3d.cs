using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization and ReLU of (N, C, D, H, W): see <see cref="BatchNormReLU"/>. Made by <c>stab.nn.BatchNormReLU3d</c>.</summary>
public sealed class BatchNormReLU3d : BatchNormReLU
{
    internal BatchNormReLU3d(NormSpec spec) : base(nameof(BatchNormReLU3d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 5, 5);
}
