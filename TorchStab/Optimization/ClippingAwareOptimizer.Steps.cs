using TorchStab.Clipping;
using TorchStab.Optimization;

namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    bool IScaledStep.IsDue => _guard.IsDue;

    bool? IScaledStep.Step(LossScale scale)
    {
        RequireAlive();
        using var turn = _guard.Enter("step()");
        return _guard.WithScale(scale, Update);
    }

    /// <summary>
    /// Handles finite gradients that are so large that their square, a sum or the parameter may overflow. Their parameters are updated first. If a result is
    /// not finite, they are restored, and the policy treats the step as one with a non-finite gradient. PyTorch steps anyway and leaves an infinity in v,
    /// after which the parameter never changes again, or NaN (∞ − ∞ in RMSprop's variance).
    /// </summary>
    /// <returns>Tells which gradients still have to be applied.</returns>
    private Func<int, bool> UpdateLarge(StepList list, ref StepGuard.Verdict verdict)
    {
        List<int> large = verdict.Decision is { } decision && !_guard.Policy.Admits ? list.Large(decision) : [];
        if (large.Count > 0 && FirstSpoilt(list, verdict.Decision!.Value, large) is var bad and >= 0)
            verdict = verdict with { Decision = null, FirstNonFinite = list.Gradients.Name(bad), Overflows = true };
        return i => !large.Contains(i);
    }

    /// <summary>
    /// Updates the parameters of these gradients. If a result is not finite, restores them all and returns the first such gradient; otherwise −1.
    /// </summary>
    private int FirstSpoilt(StepList list, ClipDecision decision, List<int> large)
    {
        using var before = new StepSnapshot(list, large);
        Update(list, decision, large.Contains);
        int bad = before.FirstSpoilt();
        if (bad >= 0) before.Restore();
        return bad;
    }
}
