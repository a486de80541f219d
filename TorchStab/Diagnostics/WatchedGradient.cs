using TorchStab.Clipping;
using TorchStab.Dispatch;
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

    /// <summary>Measures a gradient; the record is complete once the numbers are read.</summary>
    internal static Func<WatchedGradient> Measure(string name, Tensor gradient, DeviceNumbers later)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var g = gradient.is_sparse ? gradient.to_dense() : gradient;
        double[] norm = GradientNorms.Of([g], 2, later), largest = GradientNorms.Of([g], double.PositiveInfinity, later);
        double nonFinite = 0, elements = Math.Max(1, g.numel());
        // x − x is 0 for finite numbers, and NaN for others.
        if (!double.IsFinite(norm[0]) && g.numel() > 0) later.Add(linalg.vector_norm(g - g, 0), count => nonFinite = count);
        return () => new() { Name = name, Norm = norm[0], Max = largest[0], NonFiniteShare = nonFinite / elements };
    }
}
