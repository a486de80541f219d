using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization of (N, C, D, H, W): see <see cref="BatchNorm"/>. Made by <c>stab.nn.BatchNorm3d</c>.</summary>
public sealed class BatchNorm3d : BatchNorm
{
    internal BatchNorm3d(NormSpec spec) : base(nameof(BatchNorm3d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 5, 5);
}
