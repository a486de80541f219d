using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization of (N, C, H, W): see <see cref="BatchNorm"/>. Made by <c>stab.nn.BatchNorm2d</c>.</summary>
public sealed class BatchNorm2d : BatchNorm
{
    internal BatchNorm2d(NormSpec spec) : base(nameof(BatchNorm2d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 4, 4);
}
