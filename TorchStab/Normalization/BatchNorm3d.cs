using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization of (N, C, D, H, W): see <see cref="BatchNorm"/>. Made by <c>stab.nn.BatchNorm3d</c>.</summary>
public sealed class BatchNorm3d : BatchNorm
{
    internal BatchNorm3d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(BatchNorm3d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 5, 5);
}
