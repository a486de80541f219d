using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>How a batch normalization of either library was made.</summary>
internal sealed record BatchNormArguments(long Channels, double Eps, double? Momentum, bool Affine, bool Track)
{
    /// <summary>Null for a module that is no batch normalization.</summary>
    public static BatchNormArguments? Of(nn.Module module) => module switch
    {
        TorchSharp.Modules.BatchNorm n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        BatchNorm n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        _ => null,
    };
}
