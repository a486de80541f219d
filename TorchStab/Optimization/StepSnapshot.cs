using TorchSharp;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Copies some parameters and their states before a step, to check afterwards whether all values are finite, and to restore them if not.</summary>
internal sealed class StepSnapshot : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly List<Entry> _entries = [];

    private sealed record Entry(int Gradient, MomentState State, long Steps, List<Tensor> Before, List<Tensor> Copies, Tensor Parameter);

    /// <param name="list">The step's parameters.</param>
    /// <param name="gradients">The gradients whose parameters are copied.</param>
    public StepSnapshot(StepList list, IEnumerable<int> gradients)
    {
        foreach (int i in gradients)
        {
            var (parameter, state) = (list.Gradients.Parameter(i), list.State(i));
            var before = state.Moments();
            _entries.Add(new(i, state, state.Steps, before, [parameter.clone(), .. before.Select(t => t.clone())], parameter));
        }
    }

    /// <summary>The first gradient whose update turned a finite value into NaN or an infinity; −1 if there is none.</summary>
    public int FirstSpoilt()
    {
        double[] whole = DeviceNumbers.Read(_entries.ConvertAll(Whole));
        int bad = Array.FindIndex(whole, static w => w == 0);
        return bad < 0 ? -1 : _entries[bad].Gradient;
    }

    public void Restore()
    {
        foreach (var e in _entries)
        {
            e.Parameter.copy_(e.Copies[0]);
            for (int k = 0; k < e.Before.Count; k++) e.Before[k].copy_(e.Copies[k + 1]);
            e.State.Keep(e.Before);
            e.State.Steps = e.Steps;
        }
    }

    public void Dispose() => _scope.Dispose();

    // 1 if all values are still finite, otherwise 0. A tensor that the step created, such as a momentum buffer, has no copy and must be finite.
    private static Tensor Whole(Entry e)
    {
        using var scope = NewDisposeScope();
        var whole = Whole(e.Parameter, e.Copies[0]);
        foreach (var t in e.State.Moments())
        {
            int k = e.Before.FindIndex(b => ReferenceEquals(b, t));
            whole = whole.logical_and(Whole(t, k < 0 ? null : e.Copies[k + 1]));
        }
        return whole.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private static Tensor Whole(Tensor after, Tensor? before)
    {
        var finite = after.detach().isfinite();
        return (before is null ? finite : finite.logical_or(before.isfinite().logical_not())).all();
    }
}
