namespace TorchStab;

/// <summary>The distribution that <c>variance_scaling_</c> and <c>initialize_</c> draw from; all three have mean 0 and the requested variance.</summary>
public enum InitDistribution
{
    /// <summary>A normal distribution truncated at two of its standard deviations, and widened by 1/0.87962566 to restore the variance.</summary>
    TruncatedNormal,

    /// <summary>A plain normal distribution.</summary>
    Normal,

    /// <summary>Uniform in ±√(3·variance).</summary>
    Uniform,
}
