namespace TorchStab;

/// <summary>An optimizer that clips and checks as part of its step, and tells what it did.</summary>
public interface IClippedStep
{
    /// <summary>The last step that was decided on: norm before clipping, factor, skipped or not and why.</summary>
    StepReport LastStep { get; }

    /// <summary>Totals since construction.</summary>
    StepCounters Counters { get; }
}
