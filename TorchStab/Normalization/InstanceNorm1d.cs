using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, L) or (C, L): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm1d</c>.</summary>
public sealed class InstanceNorm1d : InstanceNorm
{
    internal InstanceNorm1d(
        long num_features, double eps, double? momentum, bool affine, bool track_running_stats, Device? device, ScalarType? dtype)
        : base(nameof(InstanceNorm1d), num_features, eps, momentum, affine, track_running_stats, device, dtype)
    {
    }

    private protected override int BatchedRank => 3;
}
