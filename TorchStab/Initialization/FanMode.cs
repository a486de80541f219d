namespace TorchStab;

/// <summary>The fan of a weight by which its variance is divided.</summary>
public enum FanMode
{
    /// <summary>The number of inputs of a unit; keeps the variance of activations in the forward pass.</summary>
    FanIn,

    /// <summary>The number of units that an input feeds; keeps the variance of gradients in the backward pass.</summary>
    FanOut,

    /// <summary>
    /// The mean of both fans; for <c>variance_scaling_</c> and <c>initialize_</c> only, because PyTorch's <c>kaiming_*</c> have no such mode.
    /// </summary>
    FanAvg,
}
