using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Batch normalization and ReLU of (N, C, D, H, W): see <see cref="BatchNormReLU"/>. Made by <c>stab.nn.BatchNormReLU3d</c>.</summary>
public sealed class BatchNormReLU3d : BatchNormReLU
{
    internal BatchNormReLU3d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(BatchNormReLU3d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, 5, 5);
}
