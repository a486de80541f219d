using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The constructor arguments of a batch normalization of either library.</summary>
internal sealed record BatchNormArguments(long Channels, double Eps, double? Momentum, bool Affine, bool Track)
{
    /// <summary>The arguments of a module; null if it is not a batch normalization.</summary>
    public static BatchNormArguments? Of(nn.Module module) => module switch
    {
        TorchSharp.Modules.BatchNorm n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        BatchNorm n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        _ => null,
    };
}
