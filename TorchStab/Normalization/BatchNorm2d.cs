using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization of (N, C, H, W): see <see cref="BatchNorm"/>. Made by <c>stab.nn.BatchNorm2d</c>.</summary>
public sealed class BatchNorm2d : BatchNorm
{
    internal BatchNorm2d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(BatchNorm2d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 4, 4);
}
