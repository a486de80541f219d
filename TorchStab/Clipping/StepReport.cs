namespace TorchStab;

/// <summary>What one optimizer step did: <c>optimizer.LastStep</c>. A value, kept at every step at no cost.</summary>
public readonly record struct StepReport
{
    /// <summary>A step with nothing to report: no norm, nothing clipped.</summary>
    public StepReport() { }

    /// <summary>The norm over all gradients before clipping, of the order of the rule (2 unless the rule is about another).</summary>
    public double GradNorm { get; init; }

    /// <summary>The smallest factor that clipping multiplied any gradient by; 1 if nothing was clipped.</summary>
    public double Coefficient { get; init; } = 1;

    /// <summary>Whether clipping changed any gradient.</summary>
    public bool Clipped { get; init; }

    /// <summary>Whether the step was left out because a gradient was not finite, or so large that its update would not be: parameters and state are as before.</summary>
    public bool Skipped { get; init; }

    /// <summary>The name of the first parameter whose gradient held NaN or an infinity, or whose update would have; null if all were finite.</summary>
    public string? FirstNonFinite { get; init; }

    /// <summary>The first rank on which that parameter's gradient was not finite; null in a single process, or if only the sum over the ranks is not.</summary>
    public int? FirstNonFiniteRank { get; init; }

    /// <summary>How many steps in a row, this one included, were skipped; 0 after a step that was taken.</summary>
    public int ConsecutiveSkips { get; init; }
}
