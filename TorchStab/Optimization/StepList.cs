using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// All parameters of an optimizer in one list, with their gradients and the clip plan. It is kept between steps and created again when the groups change.
/// </summary>
internal sealed class StepList
{
    /// <summary>How many parameters ahead the states are prefetched.</summary>
    private const int Ahead = 6;

    /// <summary>From this number of parameters on, several threads check them: each check waits for memory.</summary>
    private const int Parallel = 64;

    private readonly ParameterSlot[] _slots;
    private readonly int[] _groups;
    private readonly Parameter[] _parameters;
    private readonly Func<int, bool> _fits;
    private (double State, double Parameter)[]? _limits;
    private IList<ParamGroup> _options = [];
    private bool _inference;

    public StepList(List<List<ParameterSlot>> groups)
    {
        _slots = [.. groups.SelectMany(g => g)];
        _groups = [.. groups.SelectMany((g, k) => Enumerable.Repeat(k, g.Count))];
        _parameters = Array.ConvertAll(_slots, s => s.Parameter);
        Gradients = new(_parameters, Label, place => _slots[place].State.CurrentMaster());
        Plan = new(Group);
        Decide = Plan.Decide;
        _fits = i => Unfit(i) is null;
    }

    public GradientSet Gradients { get; }

    public ClipPlan Plan { get; }

    public Func<GradientSet, ClipDecision> Decide { get; }

    /// <summary>One group's updates of the current step.</summary>
    public List<ParameterUpdate> Updates { get; } = [];

    /// <summary>The largest learning rate of the current step.</summary>
    public double Rate { get; set; }

    /// <summary>The group of a gradient.</summary>
    public int Group(int gradient) => _groups[Gradients.ParameterIndex(gradient)];

    /// <summary>The state that belongs to a gradient.</summary>
    public MomentState State(int gradient) => _slots[Gradients.ParameterIndex(gradient)].State;

    public void Read(double average)
    {
        SharedGradients.Combine(_parameters);
        for (int i = 0; i < _parameters.Length; i++)
            if (_parameters[i].IsInvalid) throw Stale(Label(i));
        Gradients.Read(average);
    }

    /// <summary>
    /// Throws, before the update writes anything, if a parameter or a state cannot be updated. Checked in every step, because user code may have
    /// changed them since the last one.
    /// </summary>
    public void Check(IList<ParamGroup> groups)
    {
        (_options, _inference) = (groups, is_inference_mode_enabled());
        if (ParallelTeam.All(_fits, Gradients.Count, Gradients.Count >= Parallel)) return;
        for (int i = 0; i < Gradients.Count; i++)
            if (Unfit(i) is { } refusal) throw refusal;
    }

    public void Release()
    {
        Gradients.Release();
        Updates.Clear();
    }

    /// <summary>Whether all gradients, before clipping, are so small that the update cannot overflow.</summary>
    public bool IsOrdinary()
    {
        double[] norms = Norms;
        for (int i = 0; i < norms.Length; i++)
            if (!IsOrdinary(i, norms[i])) return false;
        return true;
    }

    /// <summary>The gradients that are so large, after clipping, that the update may overflow.</summary>
    public List<int> Large(ClipDecision decision)
    {
        double[] norms = Norms;
        return [.. Enumerable.Range(0, norms.Length).Where(i => !IsOrdinary(i, Math.Min(norms[i] * decision[i].Scale, decision[i].Bound)))];
    }

    // A norm of positive order bounds the largest element.
    private double[] Norms => Gradients.Norms(Plan.Order > 0 ? Plan.Order : 2);

    private bool IsOrdinary(int gradient, double largest)
    {
        _limits ??= Array.ConvertAll(_slots, s => (Ordinary(s.State.MomentDtype), Ordinary(s.Parameter.dtype)));
        var (state, parameter) = _limits[Gradients.ParameterIndex(gradient)];
        return largest < state && largest * Rate < parameter;
    }

    /// <summary>A bound far below the square root of the dtype's largest number, so that sums of squares over many steps do not overflow.</summary>
    private static double Ordinary(ScalarType dtype) => dtype switch
    {
        ScalarType.Float64 => 1e150,
        ScalarType.Float16 => 100,
        _ => 1e15,
    };

    /// <summary>Why a gradient's parameter or state cannot be updated; null if both can.</summary>
    private InvalidOperationException? Unfit(int gradient)
    {
        int place = Gradients.ParameterIndex(gradient);
        var slot = _slots[place];
        if (gradient + Ahead < Gradients.Count) _slots[Gradients.ParameterIndex(gradient + Ahead)].State.Prefetch();
        var memory = Gradients.ParameterView(gradient);
        if (slot.IsInference && !_inference) return Locked(Writable.Locked);
        if (!memory.Dense && Writable.Overlaps(slot.Parameter)) return Locked(Writable.Shared);
        return slot.State.WhyNot((ClipOptions)_options[_groups[place]].Options, memory) is not { } why ? null : new(
            $"The optimizer's state of {Label(place)} does not fit its parameter: {why}. Nothing was changed; change a moment by copy_(), or load a state by "
            + "load_state_dict().");

        InvalidOperationException Locked(string why) => new($"The optimizer's {Label(place)} cannot be updated: {why}");
    }

    private string Label(int place) => _slots[place].Label(_groups[place], place - Array.IndexOf(_groups, _groups[place]));

    private static InvalidOperationException Stale(string name) =>
        new($"The optimizer's {name} no longer exists: the model was moved by .to(), or a layer was swapped. Call optimizer.rebind(model) after that.");
}
