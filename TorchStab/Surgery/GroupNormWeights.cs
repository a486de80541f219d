namespace TorchStab;

/// <summary>
/// What <c>swap_norms_</c> does with the weight and bias of a <c>torch.nn.GroupNorm</c>. TorchSharp 0.107 does not initialize those of a new one: they have
/// the values that happened to be in memory, until they are filled, trained or loaded. The values alone do not show with certainty whether that happened.
/// </summary>
public enum GroupNormWeights
{
    /// <summary>
    /// Sets weights to 1 and biases to 0 if they have values that no layer has (not finite, denormal, or larger than 1e10), and keeps all others. The report
    /// names the layers that were set, and those whose values may be uninitialized memory.
    /// </summary>
    Repair,

    /// <summary>Sets all weights to 1 and all biases to 0, for a model that is not trained or loaded yet.</summary>
    Reset,

    /// <summary>Keeps all values.</summary>
    Keep,
}
