namespace TorchStab;

/// <summary>Running totals of an optimizer: <c>optimizer.Counters</c>.</summary>
/// <param name="Steps">Steps taken and steps skipped; several accumulated backward passes are one step.</param>
/// <param name="Clipped">Steps taken in which clipping changed a gradient.</param>
/// <param name="Skipped">Steps skipped because a gradient, or its update, was not finite.</param>
public readonly record struct StepCounters(long Steps, long Clipped, long Skipped);
