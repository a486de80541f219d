namespace TorchStab.Optimization;

/// <summary>An optimizer that takes the loss scale off as part of its coefficients, so that gradients are not rewritten for it.</summary>
internal interface IScaledStep
{
    /// <summary>Whether the next step updates, and does not only wait for more backward passes of its window.</summary>
    bool IsDue { get; }

    /// <summary>A step on gradients of a scaled loss.</summary>
    /// <returns>Whether they were finite; null where the step only counted a backward pass.</returns>
    bool? Step(LossScale scale);
}

/// <summary>What a loss was multiplied by.</summary>
/// <param name="Value">The factor.</param>
/// <param name="Unscaled">Whether the gradients were divided by it already.</param>
internal readonly record struct LossScale(double Value, bool Unscaled)
{
    /// <summary>What is left to multiply gradients by.</summary>
    public double Inverse => Unscaled ? 1 : 1 / Value;
}
