using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Plan, check, commit. The plan collects the exchanges and checks every slot that holds a module; if one slot cannot hold the new module, the plan lists
/// the module as refused. The commit builds all new modules before it writes the first slot, and undoes all writes if one fails, so that a model is never
/// half changed.
/// </summary>
internal sealed class SurgeryPlan
{
    private readonly List<(ModuleChange change, IReadOnlyList<Slot> slots, nn.Module old, Func<nn.Module> build)> _steps = [];
    private readonly List<ModuleRefusal> _refusals = [];

    public SurgeryPlan(nn.Module model)
    {
        Nodes = SurgeryCheck.Nodes(model);
        Graph = new ObjectGraph(model);
    }

    public IReadOnlyList<ModuleNode> Nodes { get; }

    public ObjectGraph Graph { get; }

    public IReadOnlyList<ModuleRefusal> Refusals => _refusals;

    /// <summary>Whether the plan already exchanges the module.</summary>
    public bool Replaces(nn.Module module) => _steps.Any(s => s.old == module);

    public IReadOnlyList<string> Warnings { get; set; } = [];

    public void Refuse(ModuleNode node, string reason) => _refusals.Add(new ModuleRefusal(node.Name, NormNames.Of(node.Module), reason));

    /// <summary>Adds a refusal, or counts it in the entry with the same cause.</summary>
    public void RefuseOnce(ModuleRefusal refusal)
    {
        int same = _refusals.FindIndex(r => (r.Module, r.Reason, r.Line, r.Replacement) == (refusal.Module, refusal.Reason, refusal.Line, refusal.Replacement));
        if (same < 0) _refusals.Add(refusal);
        else _refusals[same] = _refusals[same] with { Count = _refusals[same].Count + refusal.Count };
    }

    /// <summary>Plans to exchange the node's module in all of its slots for one of a type; false, with a refusal, if a slot cannot hold it.</summary>
    public bool TryReplace(ModuleNode node, Type type, string to, Func<nn.Module> build) =>
        TryReplace(node, Graph.SlotsOf(node.Module), type, to, build);

    /// <summary>Plans a change of the module itself, without an exchange.</summary>
    public void Alter(ModuleNode node, string to) => TryReplace(node, [], node.Module.GetType(), to, () => node.Module);

    /// <summary>Plans to exchange the node's module in some of its slots only.</summary>
    public bool TryReplace(ModuleNode node, IReadOnlyList<Slot> slots, Type type, string to, Func<nn.Module> build)
    {
        if (!CanReplace(node, slots, type)) return false;
        _steps.Add((new ModuleChange(node.Name, NormNames.Of(node.Module), to), slots, node.Module, build));
        return true;
    }

    /// <summary>Whether every slot can hold a module of the type; if not, adds a refusal that names the first one that cannot.</summary>
    public bool CanReplace(ModuleNode node, IReadOnlyList<Slot> slots, Type type)
    {
        if (slots.FirstOrDefault(s => !s.Accepts(type)) is { } obstacle) RefuseOnce(Obstacle(node, obstacle));
        else if (slots.Count > 0 && CastObstacle.Of(node, type) is { } cast) RefuseOnce(cast);
        else return true;
        return false;
    }

    /// <summary>Makes all planned exchanges. <paramref name="finish"/> runs for each pair (old, new) after the last write.</summary>
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

    private static ModuleRefusal Obstacle(ModuleNode node, Slot slot)
    {
        string module = NormNames.Of(node.Module), place = Declarations.PlaceOf(slot);
        if (slot.IsDelegate) return new(node.Name, module, $"a delegate is bound to it ({place}); bind it to a lambda that reads the field");
        if (slot.IsHashKey) return new(node.Name, module, $"it is a key of a hash table ({place}), which finds it by the object it is");
        var type = node.Module.GetType();
        string reason = $"{place} can only hold a {Declarations.ShortName(slot.Type)}";
        if (slot.Declaration is not { } line) return new(node.Name, module, reason);
        bool isContainer = line.FieldType != slot.Type && !line.FieldType.IsAssignableTo(typeof(System.Runtime.CompilerServices.ITuple));
        // TorchStab's class has the members of TorchSharp's class; Module<Tensor, Tensor> has only those of all modules.
        var twin = UsedMembers.AnyOf(slot.Type, slot.Owner.GetType(), line.DeclaringType!) ? NormTwin.Of(node.Module)?.Type : null;
        if (twin is not null) reason += $", and the code uses its members: make it by stab.nn.{twin.Name}(…), which has them";
        if (UsedMembers.Declares(slot.Type, line, slot.Owner.GetType(), line.DeclaringType!))
            reason += $"; where a local variable or a parameter is declared as {Declarations.ShortName(slot.Type)} too, write the new type or var";
        if (isContainer) reason += "; make its value of the new type, too";
        return new(node.Name, module, reason, Declarations.Line(line), Declarations.Line(line, slot.Type, twin));
    }
}
