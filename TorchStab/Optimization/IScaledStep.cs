namespace TorchStab.Optimization;

/// <summary>An optimizer that removes the loss scale with its clip coefficients, so that gradients are not rewritten.</summary>
internal interface IScaledStep
{
    /// <summary>Whether the next step updates. False inside a window that needs more backward passes.</summary>
    bool IsDue { get; }

    /// <summary>Steps with the gradients of a scaled loss.</summary>
    /// <returns>Whether the gradients were finite; null if the step only counted a backward pass.</returns>
    bool? Step(LossScale scale);
}

/// <summary>The factor of a loss.</summary>
/// <param name="Value">The factor.</param>
/// <param name="Unscaled">Whether the gradients are divided by the factor already.</param>
internal readonly record struct LossScale(double Value, bool Unscaled)
{
    /// <summary>The factor by which gradients still have to be multiplied.</summary>
    public double Inverse => Unscaled ? 1 : 1 / Value;
}
