using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, H, W) or (C, H, W): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm2d</c>.</summary>
public sealed class InstanceNorm2d : InstanceNorm
{
    internal InstanceNorm2d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(InstanceNorm2d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override int BatchedRank => 4;
}
