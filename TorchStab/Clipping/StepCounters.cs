namespace TorchStab;

/// <summary>Running totals of an optimizer: <c>optimizer.Counters</c>.</summary>
/// <param name="Steps">Steps taken and steps skipped; several accumulated backward passes are one step.</param>
/// <param name="Clipped">Steps taken in which clipping changed a gradient.</param>
/// <param name="Skipped">Steps skipped: a gradient, or its update, was not finite, or the step was an outlier.</param>
public readonly record struct StepCounters(long Steps, long Clipped, long Skipped)
{
    /// <summary>Steps skipped as outliers (<see cref="SpikePolicy"/>); they count among <see cref="Skipped"/> too.</summary>
    public long Spikes { get; init; }

    /// <summary>Steps left out because the loss scale was too large: see <see cref="StepReport.Overflowed"/>. Not in <see cref="Skipped"/>.</summary>
    public long Overflowed { get; init; }
}
