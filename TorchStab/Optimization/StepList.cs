using TorchSharp.Modules;
using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>An optimizer's parameters in one row, with what a step needs of them; kept from step to step, remade when the groups change.</summary>
internal sealed class StepList
{
    private readonly ParameterSlot[] _slots;
    private readonly int[] _groups;
    private readonly Parameter[] _parameters;

    public StepList(List<List<ParameterSlot>> groups)
    {
        _slots = [.. groups.SelectMany(g => g)];
        _groups = [.. groups.SelectMany((g, k) => Enumerable.Repeat(k, g.Count))];
        _parameters = Array.ConvertAll(_slots, s => s.Parameter);
        Gradients = new(_parameters, Label);
        Plan = new(Group);
        Decide = Plan.Decide;
    }

    public GradientSet Gradients { get; }

    public ClipPlan Plan { get; }

    public Func<GradientSet, ClipDecision> Decide { get; }

    /// <summary>One group's updates of the current step.</summary>
    public List<ParameterUpdate> Updates { get; } = [];

    /// <summary>The group of a gradient.</summary>
    public int Group(int gradient) => _groups[Gradients.Place(gradient)];

    /// <summary>The state that belongs to a gradient.</summary>
    public Modules.MomentState State(int gradient) => _slots[Gradients.Place(gradient)].State;

    public void Read(double average)
    {
        SharedGradients.Combine(_parameters);
        for (int i = 0; i < _parameters.Length; i++)
            if (_parameters[i].IsInvalid) throw Stale(Label(i));
        Gradients.Read(average);
    }

    public void Release()
    {
        Gradients.Release();
        Updates.Clear();
    }

    private string Label(int place) => _slots[place].Label(_groups[place], place - Array.IndexOf(_groups, _groups[place]));

    private static InvalidOperationException Stale(string name) =>
        new($"The optimizer's {name} no longer exists: the model was moved by .to(), or a layer was swapped. Call optimizer.rebind(model) after that.");
}
