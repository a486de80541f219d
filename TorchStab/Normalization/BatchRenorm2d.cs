using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch renormalization of (N, C, H, W): see <see cref="BatchRenorm"/>. Made by <c>stab.nn.BatchRenorm2d</c>.</summary>
public sealed class BatchRenorm2d : BatchRenorm
{
    internal BatchRenorm2d(NormSpec spec, double rmax, double dmax) : base(nameof(BatchRenorm2d), spec, rmax, dmax) { }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 4, 4);
}
