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
    /// A step with a gradient so large, though finite, that its square, a sum or the parameter may overflow. Such parameters go first, and are taken back
    /// where the result is not finite: the policy then treats the step as one whose gradient is not. PyTorch steps all the same, which leaves an
    /// infinity in v, which never lets its parameter move again, or NaN (∞ − ∞ in RMSprop's variance).
    /// </summary>
    /// <returns>Those that remain to be updated.</returns>
    private Func<int, bool> UpdateLarge(StepList list, ref StepGuard.Verdict verdict)
    {
        List<int> large = verdict.Decision is { } decision && !_guard.Policy.Admits ? list.Large(decision) : [];
        if (large.Count > 0 && FirstSpoilt(list, verdict.Decision!.Value, large) is var bad and >= 0)
            verdict = verdict with { Decision = null, FirstNonFinite = list.Gradients.Name(bad), Overflows = true };
        return i => !large.Contains(i);
    }

    /// <summary>Updates the parameters of these gradients and returns the first whose result is not finite, or −1. Then it leaves them as they were.</summary>
    private int FirstSpoilt(StepList list, ClipDecision decision, List<int> large)
    {
        using var before = new StepSnapshot(list, large);
        Update(list, decision, large.Contains);
        int bad = before.FirstSpoilt();
        if (bad >= 0) before.Restore();
        return bad;
    }
}
