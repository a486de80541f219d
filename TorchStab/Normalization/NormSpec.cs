using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>How a norm over channels is made, by the arguments of <c>torch.nn.BatchNorm2d</c>.</summary>
/// <param name="Features">num_features: C, the number of channels.</param>
/// <param name="Eps">Added to the variance.</param>
/// <param name="Momentum">The share of a new batch in the running statistics; null gives each batch the same share.</param>
/// <param name="Affine">Whether there are a weight and a bias.</param>
/// <param name="Track">Whether there are running statistics.</param>
/// <param name="Device">Where its tensors are made; null is the default device.</param>
/// <param name="Dtype">Their floating-point dtype; null is the default dtype.</param>
internal sealed record NormSpec(long Features, double Eps, double? Momentum, bool Affine, bool Track, Device? Device = null, ScalarType? Dtype = null)
{
    /// <summary>How a norm over channels of either library was made; null for any other module.</summary>
    public static NormSpec? Of(nn.Module module) => module switch
    {
        TorchSharp.Modules.NormBase n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        Modules.NormBase n => new(n.num_features, n.eps, n.momentum, n.affine, n.track_running_stats),
        _ => null,
    };
}
