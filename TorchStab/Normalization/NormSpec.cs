using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The constructor arguments of a norm over channels, as those of <c>torch.nn.BatchNorm2d</c>.</summary>
/// <param name="Features">num_features: C, the number of channels.</param>
/// <param name="Eps">Added to the variance.</param>
/// <param name="Momentum">The weight of a new batch in the running statistics; null gives each batch the same weight.</param>
/// <param name="Affine">Whether there are a weight and a bias.</param>
/// <param name="Track">Whether there are running statistics.</param>
/// <param name="Device">The device of its tensors; null: the default device.</param>
/// <param name="Dtype">The floating dtype of its tensors; null: the default dtype.</param>
internal sealed record NormSpec(long Features, double Eps, double? Momentum, bool Affine, bool Track, Device? Device = null, ScalarType? Dtype = null)
{
    /// <summary>The arguments of an existing norm of TorchStab or torch.nn; null for any other module.</summary>
    public static NormSpec? Of(nn.Module module) => module switch
    {
        TorchSharp.Modules.NormBase n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        Modules.NormBase n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        _ => null,
    };
}
