namespace TorchStab;

/// <summary>The function after a layer, or the kind of the layer if none follows. The names are those of PyTorch's <c>calculate_gain</c>.</summary>
public enum Nonlinearity
{
    /// <summary>No function: gain 1.</summary>
    Linear,

    /// <summary>A convolution: gain 1.</summary>
    Conv1d,

    /// <inheritdoc cref="Conv1d"/>
    Conv2d,

    /// <inheritdoc cref="Conv1d"/>
    Conv3d,

    /// <summary>A transposed convolution: gain 1.</summary>
    ConvTranspose1d,

    /// <inheritdoc cref="ConvTranspose1d"/>
    ConvTranspose2d,

    /// <inheritdoc cref="ConvTranspose1d"/>
    ConvTranspose3d,

    /// <summary>1/(1 + e^−x): gain 1.</summary>
    Sigmoid,

    /// <summary>tanh x: gain 5/3.</summary>
    Tanh,

    /// <summary>max(0, x): gain √2.</summary>
    ReLU,

    /// <summary>max(0, x) + slope · min(0, x): gain √(2/(1 + slope²)).</summary>
    LeakyReLU,

    /// <summary>The scaled exponential linear unit: gain 3/4, found empirically. Self-normalizing networks need <see cref="Linear"/>, variance 1/n.</summary>
    SELU,
}
