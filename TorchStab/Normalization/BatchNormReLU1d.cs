using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization and ReLU of (N, C) or (N, C, L): see <see cref="BatchNormReLU"/>. Made by <c>stab.nn.BatchNormReLU1d</c>.</summary>
public sealed class BatchNormReLU1d : BatchNormReLU
{
    internal BatchNormReLU1d(NormSpec spec) : base(nameof(BatchNormReLU1d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 2, 3);
}
