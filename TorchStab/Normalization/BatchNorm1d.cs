using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization of (N, C) or (N, C, L): see <see cref="BatchNorm"/>. Made by <c>stab.nn.BatchNorm1d</c>.</summary>
public sealed class BatchNorm1d : BatchNorm
{
    internal BatchNorm1d(NormSpec spec) : base(nameof(BatchNorm1d), spec) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 2, 3);
}
