namespace TorchStab;

/// <summary>Which of a weight's two fans scales its variance.</summary>
public enum FanMode
{
    /// <summary>Inputs of a unit: the variance of activations is kept in the forward pass.</summary>
    FanIn,

    /// <summary>Units an input feeds: the variance of gradients is kept in the backward pass.</summary>
    FanOut,

    /// <summary>The mean of both, a compromise; for <c>variance_scaling_</c> only, PyTorch's <c>kaiming_*</c> have no such mode.</summary>
    FanAvg,
}
