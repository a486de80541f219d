using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>
/// The part of a step that all optimizers share: measure, check for NaN once, decide, count. Says whether the update may go ahead;
/// writes no tensor.
/// </summary>
internal sealed class StepGuard(NonFinitePolicy? policy)
{
    private int _passes;

    public NonFinitePolicy Policy { get; set; } = policy ?? NonFinitePolicy.Default;

    public StepReport Last { get; private set; } = new();

    public StepCounters Counters { get; private set; }

    /// <summary>How many backward passes make one step.</summary>
    public int Window { get; private set; } = 1;

    /// <summary>Whether passes of a window that is not complete are waiting in the gradients.</summary>
    public bool InsideWindow => _passes > 0;

    public void Accumulate(int passes)
    {
        if (passes < 1) throw new ArgumentException($"expected at least one backward pass a step, got {passes}", nameof(passes));
        Window = passes;
        _passes = 0;
    }

    /// <summary>Counts a backward pass; true if it completes a window and the step is due.</summary>
    public bool CompletesWindow()
    {
        if (++_passes < Window) return false;
        _passes = 0;
        return true;
    }

    /// <summary>Measures and decides. Null: the step is skipped. <paramref name="decide"/> is only asked about gradients it may see.</summary>
    public ClipDecision? Judge(GradientSet gradients, double order, Func<GradientSet, ClipDecision> decide)
    {
        double norm = gradients.TotalNorm(order);
        int bad = gradients.FirstNonFinite(order);
        string? name = bad < 0 ? null : gradients.Names?[bad] ?? $"parameter {bad}";
        if (name is not null && !Policy.Admits)
        {
            Refuse(norm, name);
            return null;
        }
        var decision = decide(gradients);
        Counters = Counters with { Steps = Counters.Steps + 1, Clipped = Counters.Clipped + (decision.Clipped ? 1 : 0) };
        Last = new() { GradNorm = decision.TotalNorm, Coefficient = decision.Coefficient, Clipped = decision.Clipped, FirstNonFinite = name };
        return decision;
    }

    private void Refuse(double norm, string name)
    {
        int row = Last.ConsecutiveSkips + 1;
        Counters = Counters with { Steps = Counters.Steps + 1, Skipped = Counters.Skipped + 1 };
        Last = new() { GradNorm = norm, Skipped = true, FirstNonFinite = name, ConsecutiveSkips = row };
        if (row > Policy.MaxConsecutive) throw new InvalidOperationException(Policy.MaxConsecutive == 0
            ? $"The gradient of {name} holds NaN or an infinity; nothing was changed. Lower the learning rate or clip harder, use " +
              "NonFinitePolicy.Skip() to leave such steps out, or find the cause with torch.autograd.detect_anomaly."
            : $"{row} steps in a row had a gradient with NaN or an infinity, first in {name}; {Policy.MaxConsecutive} may be skipped. Nothing was changed: " +
              "the model or its data is at fault from here on. Lower the learning rate, or find the cause with torch.autograd.detect_anomaly.");
    }
}
