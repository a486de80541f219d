namespace TorchStab;

/// <summary>The distribution that <c>variance_scaling_</c> draws from; all three have mean 0 and the asked variance.</summary>
public enum InitDistribution
{
    /// <summary>A normal distribution cut off at two of its standard deviations and widened (1/0.87962566) to make up for the loss.</summary>
    TruncatedNormal,

    /// <summary>A plain normal distribution.</summary>
    Normal,

    /// <summary>Uniform in ±√(3·variance).</summary>
    Uniform,
}
