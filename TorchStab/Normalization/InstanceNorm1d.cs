using TorchStab.Normalization;

namespace TorchStab.Modules;

/// <summary>Instance normalization of (N, C, L) or (C, L): see <see cref="InstanceNorm"/>. Made by <c>stab.nn.InstanceNorm1d</c>.</summary>
public sealed class InstanceNorm1d : InstanceNorm
{
    internal InstanceNorm1d(NormSpec spec) : base(nameof(InstanceNorm1d), spec) { }

    private protected override int BatchedRank => 3;
}
