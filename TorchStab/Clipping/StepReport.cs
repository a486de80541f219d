namespace TorchStab;

/// <summary>What one optimizer step did: <c>optimizer.LastStep</c>. A value type, so keeping one for each step costs no allocation.</summary>
public readonly record struct StepReport
{
    /// <summary>A step with nothing to report: no norm, nothing clipped.</summary>
    public StepReport() { }

    /// <summary>The norm of all gradients together before clipping, of the rule's order (2, unless the rule uses another).</summary>
    public double GradNorm { get; init; }

    /// <summary>The smallest factor that clipping multiplied any gradient by; 1 if nothing was clipped.</summary>
    public double Coefficient { get; init; } = 1;

    /// <summary>Whether clipping changed any gradient.</summary>
    public bool Clipped { get; init; }

    /// <summary>
    /// Whether the step was skipped, because a gradient or its update was not finite or because of <see cref="Spike"/>: parameters and state did not change.
    /// </summary>
    public bool Skipped { get; init; }

    /// <summary>Whether the step was skipped as an outlier (<see cref="SpikePolicy"/>).</summary>
    public bool Spike { get; init; }

    /// <summary>What was how far above the steps before; null where <see cref="Spike"/> is false.</summary>
    public string? SpikeReason { get; init; }

    /// <summary>The name of the first parameter whose gradient, or its update, was NaN or infinite; null if all were finite.</summary>
    public string? FirstNonFinite { get; init; }

    /// <summary>
    /// The first rank on which that parameter's gradient was not finite; null in a single process, or if only the sum over the ranks was not finite.
    /// </summary>
    public int? FirstNonFiniteRank { get; init; }

    /// <summary>What the loss was multiplied by, where <see cref="GradScaler"/> took the step; 1 otherwise. <see cref="GradNorm"/> is without it.</summary>
    public double LossScale { get; init; } = 1;

    /// <summary>
    /// Whether the step was left out because a gradient of the scaled loss was not finite. <see cref="GradScaler"/> lowers the scale then; it is no
    /// skip that <see cref="NonFinitePolicy"/> counts.
    /// </summary>
    public bool Overflowed { get; init; }

    /// <summary>The number of steps skipped in a row, this one included; 0 after a step that was taken.</summary>
    public int ConsecutiveSkips { get; init; }
}
