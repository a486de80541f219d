using TorchStab.Normalization;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, D, H, W) or (C, D, H, W): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm3d</c>.</summary>
public sealed class InstanceNorm3d : InstanceNorm
{
    internal InstanceNorm3d(NormSpec spec) : base(nameof(InstanceNorm3d), spec) { }

    private protected override int BatchedRank => 5;
}
