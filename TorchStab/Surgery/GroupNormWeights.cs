namespace TorchStab;

/// <summary>
/// What <c>swap_norms_</c> does with the weight and bias of a <c>torch.nn.GroupNorm</c>. TorchSharp 0.107 leaves those of a new one uninitialised:
/// they are whatever stood in memory there, until something fills, trains or loads them. From values alone that can't be told with certainty.
/// </summary>
public enum GroupNormWeights
{
    /// <summary>
    /// Values that no layer has (not finite, denormal, or larger than 1e10) become 1 (weight) and 0 (bias), all others are taken over. The report
    /// names both those and the layers whose values may be memory that nobody wrote.
    /// </summary>
    Repair,

    /// <summary>All become 1 and 0: for a model that is neither trained nor loaded yet.</summary>
    Reset,

    /// <summary>All are taken over as they are.</summary>
    Keep,
}
