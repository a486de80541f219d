using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Plan, check, commit. What is to change is collected first, against every place of the model that would have to take it; a module that
/// one place refuses is listed instead. The commit builds all new modules before it writes the first place, and takes every write back
/// if one fails: a model is never left between.
/// </summary>
internal sealed class SurgeryPlan
{
    private readonly List<(ModuleChange change, IReadOnlyList<Slot> slots, nn.Module old, Func<nn.Module> build)> _steps = [];
    private readonly List<ModuleRefusal> _refusals = [];

    public SurgeryPlan(nn.Module model)
    {
        Nodes = SurgeryTree.Of(model);
        Graph = new ObjectGraph(model);
    }

    public IReadOnlyList<SurgeryNode> Nodes { get; }

    public ObjectGraph Graph { get; }

    public IReadOnlyList<ModuleRefusal> Refusals => _refusals;

    /// <summary>Whether the module is to be exchanged already.</summary>
    public bool Replaces(nn.Module module) => _steps.Any(s => s.old == module);

    public IReadOnlyList<string> Warnings { get; set; } = [];

    public void Refuse(SurgeryNode node, string reason) => _refusals.Add(new ModuleRefusal(node.Path, NormNames.Of(node.Module), reason));

    /// <summary>The same, as one entry with all others of this cause.</summary>
    public void RefuseOnce(ModuleRefusal refusal)
    {
        int same = _refusals.FindIndex(r => (r.Module, r.Reason, r.Line, r.Replacement) == (refusal.Module, refusal.Reason, refusal.Line, refusal.Replacement));
        if (same < 0) _refusals.Add(refusal);
        else _refusals[same] = _refusals[same] with { Count = _refusals[same].Count + refusal.Count };
    }

    /// <summary>Plans to put a module of type <paramref name="type"/> into every place that holds the node's; false if one can't take it.</summary>
    public bool TryReplace(SurgeryNode node, Type type, string to, Func<nn.Module> build) =>
        TryReplace(node, Graph.SlotsOf(node.Module), type, to, build);

    /// <summary>Plans a change of the module itself, which stays where it is.</summary>
    public void Alter(SurgeryNode node, string to) => TryReplace(node, [], node.Module.GetType(), to, () => node.Module);

    /// <summary>The same for some of its places only.</summary>
    public bool TryReplace(SurgeryNode node, IReadOnlyList<Slot> slots, Type type, string to, Func<nn.Module> build)
    {
        if (!CanReplace(node, slots, type)) return false;
        _steps.Add((new ModuleChange(node.Path, NormNames.Of(node.Module), to), slots, node.Module, build));
        return true;
    }

    /// <summary>Whether every place takes a module of the type; if not, the first that doesn't is listed.</summary>
    public bool CanReplace(SurgeryNode node, IReadOnlyList<Slot> slots, Type type)
    {
        if (slots.FirstOrDefault(s => !s.Accepts(type)) is { } obstacle) RefuseOnce(Obstacle(node, obstacle));
        else if (slots.Count > 0 && CastObstacle.Of(node, type, this) is { } cast) RefuseOnce(cast);
        else return true;
        return false;
    }

    /// <summary>Exchanges everything planned. <paramref name="finish"/> runs for each pair (old, new) after the last write.</summary>
    public SurgeryReport Commit(Action<nn.Module, nn.Module> finish)
    {
        var built = _steps.Select(s => s.build()).ToList();
        List<(Slot slot, nn.Module old)> written = [];
        try
        {
            foreach (var (step, module) in _steps.Zip(built))
                foreach (var slot in step.slots)
                {
                    slot.Set(module);
                    written.Add((slot, step.old));
                }
        }
        catch
        {
            foreach (var (slot, old) in Enumerable.Reverse(written)) slot.Set(old);
            throw;
        }
        foreach (var (step, module) in _steps.Zip(built)) finish(step.old, module);
        return new SurgeryReport([.. _steps.Select(s => s.change)], _refusals) { Warnings = Warnings };
    }

    private static ModuleRefusal Obstacle(SurgeryNode node, Slot slot)
    {
        string what = NormNames.Of(node.Module), place = slot.Declaration is { } d ? Declarations.Place(d) : $"a table of {slot.Owner.GetType().Name}";
        if (slot.IsDelegate) return new(node.Path, what, $"a delegate is bound to it ({place}); bind it to a lambda that reads the field");
        if (slot.IsHashKey) return new(node.Path, what, $"it is a key of a hash table ({place}), which finds it by the object it is");
        var type = node.Module.GetType();
        string reason = $"{place} can only hold a {Declarations.ShortName(slot.Type)}";
        if (slot.Declaration is not { } line) return new(node.Path, what, reason);
        // TorchStab's class has the members of TorchSharp's; Module<Tensor, Tensor> has those of any module.
        var twin = UsedMembers.AnyOf(slot.Type, slot.Owner.GetType(), line.DeclaringType!) ? NormTwin.Of(node.Module)?.Type : null;
        if (twin is not null) reason += $", and the code uses its members: make it by stab.nn.{twin.Name}(…), which has them";
        return new(node.Path, what, reason, Declarations.Line(line), Declarations.Line(line, slot.Type, twin));
    }
}
