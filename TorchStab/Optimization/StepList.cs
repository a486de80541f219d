using TorchSharp.Modules;
using TorchStab.Clipping;
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

    private readonly ParameterSlot[] _slots;
    private readonly int[] _groups;
    private readonly Parameter[] _parameters;
    private (double State, double Parameter)[]? _limits;

    public StepList(List<List<ParameterSlot>> groups)
    {
        _slots = [.. groups.SelectMany(g => g)];
        _groups = [.. groups.SelectMany((g, k) => Enumerable.Repeat(k, g.Count))];
        _parameters = Array.ConvertAll(_slots, s => s.Parameter);
        Gradients = new(_parameters, Label, place => _slots[place].State.CurrentMaster());
        Plan = new(Group);
        Decide = Plan.Decide;
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
        bool inference = is_inference_mode_enabled();
        for (int i = 0; i < Gradients.Count; i++)
        {
            int place = Gradients.ParameterIndex(i);
            var slot = _slots[place];
            if (i + Ahead < Gradients.Count) _slots[Gradients.ParameterIndex(i + Ahead)].State.Prefetch();
            string? why = slot.IsInference && !inference ? Writable.Locked : !Gradients.ParameterView(i).Dense && Writable.Overlaps(slot.Parameter)
                ? Writable.Shared : null;
            if (why is not null) throw new InvalidOperationException($"The optimizer's {Label(place)} cannot be updated: {why}");
            if (slot.State.WhyNot((ClipOptions)groups[_groups[place]].Options, Gradients.ParameterView(i)) is { } wrong) throw Unfit(Label(place), wrong);
        }
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

    private string Label(int place) => _slots[place].Label(_groups[place], place - Array.IndexOf(_groups, _groups[place]));

    private static InvalidOperationException Unfit(string name, string why) => new($"The optimizer's state of {name} does not fit its parameter: {why}. " +
        "Nothing was changed; change a moment by copy_(), or load a state by load_state_dict().");

    private static InvalidOperationException Stale(string name) =>
        new($"The optimizer's {name} no longer exists: the model was moved by .to(), or a layer was swapped. Call optimizer.rebind(model) after that.");
}
