using TorchStab.Normalization;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, H, W) or (C, H, W): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm2d</c>.</summary>
public sealed class InstanceNorm2d : InstanceNorm
{
    internal InstanceNorm2d(NormSpec spec) : base(nameof(InstanceNorm2d), spec) { }

    private protected override int BatchedRank => 4;
}
