using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, D, H, W) or (C, D, H, W): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm3d</c>.</summary>
public sealed class InstanceNorm3d : InstanceNorm
{
    internal InstanceNorm3d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(InstanceNorm3d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override int BatchedRank => 5;
}
