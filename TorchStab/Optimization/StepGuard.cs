using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>
/// The part of a step that all optimizers share: it measures gradients, checks them for NaN, decides and counts. It decides whether the update is
/// made, but writes no tensor.
/// </summary>
internal sealed class StepGuard(NonFinitePolicy? policy)
{
    private int _passes;
    private string? _running;
    private int _row; // steps in a row that the policy skipped: neither outliers nor overflows of the loss scale
    private LossScale? _windowScale;

    public NonFinitePolicy Policy { get; set; } = policy ?? NonFinitePolicy.Default;

    public SpikeGuard Spikes { get; } = new();

    public StepReport Last { get; private set; } = new();

    public StepCounters Counters { get; private set; }

    /// <summary>The number of backward passes of one step.</summary>
    public int Window { get; private set; } = 1;

    /// <summary>Whether the gradients contain passes of a window that is not complete.</summary>
    public bool InsideWindow => _passes > 0;

    /// <summary>Whether the next backward pass completes a window.</summary>
    public bool IsDue => _passes + 1 >= Window;

    /// <summary>The loss scale of the gradients in the running step; null: not scaled.</summary>
    public LossScale? Scale { get; private set; }

    /// <summary>The factor of all gradients before clipping: it divides by the number of passes of a window and by the loss scale.</summary>
    public double Average => (Scale?.Inverse ?? 1) / Window;

    public void Accumulate(int passes)
    {
        using var turn = Enter("accumulate()");
        if (passes < 1) throw new ArgumentException(FormattableString.Invariant($"expected at least one backward pass a step, got {passes}"), nameof(passes));
        Window = passes;
        _passes = 0;
    }

    /// <summary>
    /// Begins a call that writes or frees what other calls use: only one may run at a time, and not in a callback of another. <see cref="Turn.Dispose"/>
    /// ends it.
    /// </summary>
    /// <param name="call">The function that the user called, for messages.</param>
    /// <exception cref="InvalidOperationException">Such a call is running.</exception>
    public Turn Enter(string call) => Interlocked.CompareExchange(ref _running, call, null) is { } running ? throw Busy(call, running) : new Turn(this);

    /// <summary>Decides about gradients that are known to be finite.</summary>
    public static Verdict Admit(GradientSet gradients, double order, Func<GradientSet, ClipDecision> decide) =>
        new(decide(gradients), gradients.TotalNorm(order), null, null);

    /// <summary>Counts a backward pass; true if it completes a window. <see cref="Record"/> begins the next window.</summary>
    public bool CompletesWindow()
    {
        if (IsDue) return true;
        _passes++;
        return false;
    }

    /// <summary>Runs a step with the gradients of a scaled loss.</summary>
    /// <returns>Whether the gradients were finite; null if the window is not complete.</returns>
    public bool? WithScale(LossScale scale, Action update)
    {
        if (InsideWindow && _windowScale is { } first && first.Value != scale.Value)
            throw new InvalidOperationException(
                FormattableString.Invariant($"the loss scale changed from {first.Value} to {scale.Value} between passes that are ") +
                "accumulated for one step, so their gradients do not add up; call update() only after the step that completes the window of accumulate()");
        _windowScale = scale;
        if (!CompletesWindow()) return null;
        Scale = scale;
        try
        {
            update();
            return !Last.Overflowed;
        }
        finally
        {
            Scale = null;
        }
    }

    /// <summary>Throws for a scaled step without any gradient, because it gives no information about the scale.</summary>
    public void RequireAny(GradientSet gradients)
    {
        if (Scale is not null && gradients.Count == 0) throw NothingChecked();
    }

    public static InvalidOperationException NothingChecked() => new(
        "No inf checks were recorded for this optimizer: none of its parameters has a gradient. Call backward() on the scaled loss before step()");

    /// <summary>Measures and decides. Calls <paramref name="decide"/> only if the gradients are finite or the policy allows non-finite ones.</summary>
    public Verdict Examine(GradientSet gradients, double order, Func<GradientSet, ClipDecision> decide)
    {
        int bad = gradients.FirstNonFinite(order);
        string? name = bad < 0 ? null : gradients.Name(bad) ?? $"parameter {bad}";
        int? rank = bad < 0 ? null : SharedGradients.CulpritOf(gradients.Parameter(bad));
        return new(name is null || (Policy.Admits && Scale is null) ? decide(gradients) : null, gradients.TotalNorm(order), name, rank);
    }

    /// <summary>Returns the verdict, changed to skip the step if it is an outlier. A step that is skipped already is not changed.</summary>
    public Verdict Suspect(in Verdict verdict) =>
        verdict.Decision is not null && Spikes.WhySpike(verdict.Norm) is { } why ? verdict with { Decision = null, Spike = why } : verdict;

    /// <summary>Counts and reports a step, and begins the next window; false if the step is skipped. If it throws, the window remains complete.</summary>
    public bool Record(Verdict verdict)
    {
        Counters = Counters with { Steps = Counters.Steps + 1 };
        if (verdict.Decision is { } decision)
        {
            if (decision.Clipped) Counters = Counters with { Clipped = Counters.Clipped + 1 };
            Last = Report(verdict) with { GradNorm = decision.TotalNorm, Coefficient = decision.Coefficient, Clipped = decision.Clipped };
            Spikes.Remember(verdict.Norm, spike: false);
            _row = _passes = 0;
            return true;
        }
        if (verdict.Spike is not null) return RecordSpike(verdict);
        return Scale is not null && !verdict.Overflows ? RecordOverflow(verdict) : RecordSkip(verdict);
    }

    // An overflow means that the scale was too large, not that the model is wrong. The policy does not count it as a skip.
    private bool RecordOverflow(in Verdict verdict)
    {
        Counters = Counters with { Overflowed = Counters.Overflowed + 1 };
        Last = Report(verdict) with { Skipped = true, Overflowed = true, ConsecutiveSkips = Last.ConsecutiveSkips };
        _passes = 0;
        return false;
    }

    private bool RecordSkip(in Verdict verdict)
    {
        int row = ++_row;
        Counters = Counters with { Skipped = Counters.Skipped + 1 };
        Last = Report(verdict) with { Skipped = true, ConsecutiveSkips = Last.ConsecutiveSkips + 1 };
        if (row > Policy.MaxConsecutive)
            throw Refusal(row, verdict.Rank is { } rank ? $"{verdict.FirstNonFinite} on rank {rank}" : verdict.FirstNonFinite!, verdict.Overflows);
        _passes = 0;
        return false;
    }

    private bool RecordSpike(in Verdict verdict)
    {
        Counters = Counters with { Skipped = Counters.Skipped + 1, Spikes = Counters.Spikes + 1 };
        Last = Report(verdict) with { Skipped = true, Spike = true, SpikeReason = verdict.Spike, ConsecutiveSkips = Last.ConsecutiveSkips + 1 };
        Spikes.Remember(verdict.Norm, spike: true);
        _row = 0;
        if (Spikes.Row > Spikes.Policy.MaxConsecutive)
            throw new InvalidOperationException($"{Spikes.Row} steps in a row were outliers; {Spikes.Policy.MaxConsecutive} may be skipped. The last one: "
                + $"{verdict.Spike}. Nothing was changed: the training diverges, which skipping cannot stop. Go back to a checkpoint and lower the learning "
                + "rate, normalize queries and keys, or set Spikes = SpikePolicy.Off.");
        _passes = 0;
        return false;
    }

    private StepReport Report(in Verdict verdict) =>
        new() { GradNorm = verdict.Norm, FirstNonFinite = verdict.FirstNonFinite, FirstNonFiniteRank = verdict.Rank, LossScale = Scale?.Value ?? 1 };

    private static InvalidOperationException Busy(string call, string running) =>
        new($"{call} was called while {running} of this optimizer runs: by a callback of {running}, such as the 'exclude' of a clipping rule, or by another "
            + $"thread. Nothing was changed by this call; make it when {running} has returned, and let one thread at a time use an optimizer.");

    private InvalidOperationException Refusal(int row, string name, bool overflows) => new(Policy.MaxConsecutive == 0
        ? $"The gradient of {name} {(overflows ? "is finite, but so large that its update is not" : "holds NaN or an infinity")}; nothing was changed. "
            + "Lower the learning rate or clip harder, use NonFinitePolicy.Skip() to leave such steps out, or find the cause with "
            + "torch.autograd.detect_anomaly."
        : $"{row} steps in a row had a gradient {(overflows ? "that overflows its update" : "with NaN or an infinity")}, first in {name}; "
            + $"{Policy.MaxConsecutive} may be skipped. Nothing was changed: the model or its data is at fault from here on. Lower the learning rate, or "
            + "find the cause with torch.autograd.detect_anomaly.");

    /// <summary>Ends the call that <see cref="Enter"/> began; the default one ends nothing.</summary>
    internal readonly struct Turn(StepGuard guard) : IDisposable
    {
        public void Dispose()
        {
            if (guard is not null) Volatile.Write(ref guard._running, null);
        }
    }

    /// <summary>The decision about a step, with its reasons.</summary>
    /// <param name="Decision">The clip coefficients; null: the step is skipped.</param>
    /// <param name="Norm">The norm of the gradients before clipping.</param>
    /// <param name="FirstNonFinite">The name of the first parameter whose gradient or update is not finite.</param>
    /// <param name="Rank">The process that computed the non-finite gradient; null if there is only one process.</param>
    /// <param name="Overflows">Whether the gradients are finite but the result of the update is not.</param>
    /// <param name="Spike">The reason why the step is an outlier; null if it is not.</param>
    internal readonly record struct Verdict(ClipDecision? Decision, double Norm, string? FirstNonFinite, int? Rank, bool Overflows = false,
        string? Spike = null)
    {
        public double Coefficient => Decision?.Coefficient ?? 1;
    }
}
