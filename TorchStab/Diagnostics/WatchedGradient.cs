using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>The gradient of a tensor inside a model (<c>stab.nn.functional.watch_gradient</c>), as the backward pass came by.</summary>
public sealed record WatchedGradient
{
    /// <summary>The name that it was given.</summary>
    public required string Name { get; init; }

    /// <summary>‖g‖₂.</summary>
    public required double Norm { get; init; }

    /// <summary>The largest |g|.</summary>
    public required double Max { get; init; }

    /// <summary>The share of elements that are NaN or infinite.</summary>
    public required double NonFiniteShare { get; init; }

    internal static WatchedGradient Of(string name, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var g = gradient.is_sparse ? gradient.to_dense() : gradient;
        double norm = GradientNorms.Of([g], 2)[0];
        return new()
        {
            Name = name,
            Norm = norm,
            Max = GradientNorms.Of([g], double.PositiveInfinity)[0],
            NonFiniteShare = double.IsFinite(norm) || g.numel() == 0 ? 0 : 1 - ((double)g.isfinite().sum().item<long>() / g.numel()),
        };
    }
}
