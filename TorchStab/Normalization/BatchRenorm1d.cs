using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch renormalization of (N, C) or (N, C, L): see <see cref="BatchRenorm"/>. Made by <c>stab.nn.BatchRenorm1d</c>.</summary>
public sealed class BatchRenorm1d : BatchRenorm
{
    internal BatchRenorm1d(NormSpec spec, double rmax, double dmax) : base(nameof(BatchRenorm1d), spec, rmax, dmax) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 2, 3);
}
