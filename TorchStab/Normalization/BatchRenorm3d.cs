using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch renormalization of (N, C, D, H, W): see <see cref="BatchRenorm"/>. Made by <c>stab.nn.BatchRenorm3d</c>.</summary>
public sealed class BatchRenorm3d : BatchRenorm
{
    internal BatchRenorm3d(NormSpec spec, double rmax, double dmax) : base(nameof(BatchRenorm3d), spec, rmax, dmax) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 5, 5);
}
