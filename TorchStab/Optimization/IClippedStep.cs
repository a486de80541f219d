namespace TorchStab;

/// <summary>An optimizer that clips and checks as part of its step, and reports the result.</summary>
public interface IClippedStep
{
    /// <summary>The report of the last step: norm before clipping, factor, whether it was skipped and why.</summary>
    StepReport LastStep { get; }

    /// <summary>Totals since construction.</summary>
    StepCounters Counters { get; }
}
