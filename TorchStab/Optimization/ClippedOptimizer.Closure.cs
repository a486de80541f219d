using System.Runtime.ExceptionServices;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public partial class ClippedOptimizer
{
    /// <summary>Whether a step needs a closure.</summary>
    internal bool StepsByClosure => _inner is TorchSharp.Modules.LBFGS;

    bool IScaledStep.IsDue => _guard.IsDue;

    bool? IScaledStep.Step(LossScale scale)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        using var turn = _guard.Enter("step()");
        return _guard.WithScale(scale, () =>
        {
            if (ClipGradients()) _inner.step();
        });
    }

    /// <summary>
    /// One step of an optimizer that calls the closure from native code. An exception must not cross native code, and the optimizer has no way
    /// to be stopped; but it stops when all gradients are zero.
    /// </summary>
    private Tensor StepWithin(Func<Tensor> closure)
    {
        using var turn = _guard.Enter("step()");
        using var before = new ParameterSnapshot(parameters());
        StepGuard.Verdict? verdict = null;
        ExceptionDispatchInfo? failure = null;
        var loss = _inner.step(() =>
        {
            try
            {
                if (failure is null) return Evaluate(closure, ref verdict);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
            Gradients.Clear(parameters(), setToNone: true);
            return zeros(1, device: CPU).DetachFromDisposeScope();
        });
        try
        {
            if (failure is not null || (verdict is { FirstNonFinite: not null } && !_guard.Policy.Admits)) before.Restore();
            failure?.Throw();
            if (verdict is { } final) _guard.Record(final);
            return loss;
        }
        catch
        {
            loss?.Dispose();
            throw;
        }
    }

    // The verdict of a step is that of its first evaluation with a non-finite gradient, otherwise that of the most strongly clipped evaluation.
    private Tensor Evaluate(Func<Tensor> closure, ref StepGuard.Verdict? verdict)
    {
        var loss = closure();
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = Collect();
        var now = _guard.Examine(gradients, Clip.Order, Clip.Decide);
        if (verdict is not { } so || (so.FirstNonFinite is null && (now.FirstNonFinite is not null || now.Coefficient < so.Coefficient))) verdict = now;
        if (now.Decision is { } decision && (verdict.Value.FirstNonFinite is null || _guard.Policy.Admits))
        {
            gradients.Apply(decision);
            Clip.Accept();
        }
        else Gradients.Clear(parameters(), setToNone: true);
        return loss;
    }
}
