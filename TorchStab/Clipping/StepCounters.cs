namespace TorchStab;

/// <summary>Running totals of an optimizer: <c>optimizer.Counters</c>.</summary>
/// <param name="Steps">Steps decided on: taken and skipped ones; a window of accumulated passes is one.</param>
/// <param name="Clipped">Steps taken in which clipping changed a gradient.</param>
/// <param name="Skipped">Steps left out because a gradient was not finite.</param>
public readonly record struct StepCounters(long Steps, long Clipped, long Skipped);
