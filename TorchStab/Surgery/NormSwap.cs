using TorchSharp.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;
using Host = TorchSharp.Modules;

namespace TorchStab.Surgery;

/// <summary>swap_norms_ and restore_norms_: plans which norms are exchanged for which counterparts, and transfers their state at the commit.</summary>
internal sealed class NormSwap
{
    private readonly SurgeryPlan _plan;
    private readonly SwapOptions _options;
    private readonly GroupNormRepair _repair;
    private readonly HashSet<nn.Module> _frozen = new(ReferenceEqualityComparer.Instance);

    private NormSwap(nn.Module model, SwapOptions options)
    {
        _options = options;
        _plan = new SurgeryPlan(model);
        _repair = new GroupNormRepair(options.GroupNorm);
    }

    public static SurgeryReport Swap(nn.Module model, SwapOptions? options)
    {
        RequireContainer(model, nameof(model));
        var swap = new NormSwap(model, options ?? new SwapOptions());
        foreach (var node in swap._plan.Nodes)
        {
            if (swap._options.FuseReLU) swap.PlanReLU(node);
            swap.Plan(node);
        }
        UnreachableNorms.List(swap._plan, swap._options.Filter);
        if (swap._options.RequireAll && swap._plan.Refusals.Count > 0)
            throw new InvalidOperationException(
                $"the model is unchanged, because not every norm can be exchanged:\n{new SurgeryReport([], swap._plan.Refusals)}");
        swap._plan.Warnings = swap._repair.Warnings;
        return swap._plan.Commit(swap.Finish);
    }

    /// <summary>Exchanges TorchSharp's norms for which a predicate is true, as far as their slots allow, and returns the new modules.</summary>
    public static HashSet<nn.Module> StandIn(nn.Module model, Predicate<nn.Module> selects)
    {
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
            if (selects(node.Module) && NormTwin.Of(node.Module) is { } twin) plan.TryReplace(node, twin.Type, NormNames.Of(twin.Type), twin.Build);
        var standIns = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        plan.Commit((old, twin) =>
        {
            Transfer(old, twin);
            standIns.Add(twin);
        });
        return standIns;
    }

    /// <summary>Puts the original modules back, for all replacements or for those for which a predicate is true.</summary>
    public static SurgeryReport Restore(nn.Module model, Predicate<nn.Module>? selects = null)
    {
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
            if (Originals.Of(node.Module) is { } original && (selects?.Invoke(node.Module) ?? true))
                plan.TryReplace(node, original.GetType(), NormNames.Of(original), () => original);
        return plan.Commit(TransferBack);
    }

    /// <summary>Refuses a model that is itself a norm: there is no module around it that could hold its counterpart.</summary>
    public static void RequireContainer(nn.Module model, string paramName)
    {
        ArgumentNullException.ThrowIfNull(model, paramName);
        if (NormTwin.Of(model) is not null)
            throw new ArgumentException(
                $"the model is itself a {NormNames.Of(model)}, and no model around it could hold another one; make a stab.nn.{model.GetType().Name} instead",
                paramName);
    }

    private void Plan(ModuleNode node)
    {
        if (_plan.Replaces(node.Module) || !Selected(node)) return;
        var target = _options.BatchNorm;
        if (target.Groups > 0 && BatchNormView.IsBatchNorm(node.Module))
        {
            var norm = NormSpec.Of(node.Module)!;
            if (norm.Features % target.Groups == 0)
                Exchange(node, NormTwin.Grouped(node.Module, norm, target.Groups), $"stab.nn.GroupNorm({target.Groups}, {norm.Features})");
            else _plan.Refuse(node, $"{norm.Features} channels do not divide into {target.Groups} groups");
        }
        else if (NormTwin.Of(node.Module) is { } twin)
        {
            if (!_plan.CanReplace(node, _plan.Graph.SlotsOf(node.Module), twin.Type)) return;
            string changes = (Freezes(node.Module) ? ", frozen" : "") + (_repair.Examine(node) is { } reset ? $", {reset}" : "");
            Exchange(node, twin, NormNames.Of(twin.Type) + changes);
        }
        else if (Freezes(node.Module) && node.Module is TorchStab.Modules.NormBase { Frozen: false })
        {
            _plan.Alter(node, NormNames.Of(node.Module) + ", frozen");
            _frozen.Add(node.Module);
        }
    }

    private bool Freezes(nn.Module module) => _options.BatchNorm.IsFrozen && BatchNormView.IsBatchNorm(module) && NormSpec.Of(module) is { Track: true };

    private void Exchange(ModuleNode node, NormTwin twin, string to)
    {
        if (_plan.TryReplace(node, twin.Type, to, twin.Build) && Freezes(node.Module)) _frozen.Add(node.Module);
    }

    private void PlanReLU(ModuleNode sequence)
    {
        foreach (var (first, second, slots) in SequentialPairs.Of(sequence, _plan.Graph))
        {
            if (second.Module is not ReLU relu || NormTwin.WithReLU(first.Module) is not { } twin || !Selected(first)) continue;
            if (TorchSharpInternals.HasPostHooks((nn.Module<Tensor, Tensor>)first.Module) || TorchSharpInternals.HasPreHooks(relu)) continue;
            if (_plan.TryReplace(first, twin.Type, NormNames.Of(twin.Type), twin.Build))
                _plan.TryReplace(second, slots, typeof(Identity), NormNames.Of(typeof(Identity)), nn.Identity);
        }
    }

    private bool Selected(ModuleNode node) => _options.Filter?.Invoke(node.Name) ?? true;

    private void Finish(nn.Module old, nn.Module twin)
    {
        _repair.Apply(old);
        if (old != twin) Transfer(old, twin);
        if (_frozen.Contains(old)) NormFreezing.Freeze(twin);
    }

    /// <summary>Transfers what a new module needs besides its tensors: hooks, the original for a restore, and the frozen state.</summary>
    public static void Transfer(nn.Module old, nn.Module twin)
    {
        var (from, to) = ((nn.Module<Tensor, Tensor>)old, (nn.Module<Tensor, Tensor>)twin);
        TorchSharpInternals.ShareHooks(from, to);
        Originals.Keep(from, to);
        NormFreezing.Transfer(from, to);
    }

    /// <summary>Transfers the state of a replacement back to the original module.</summary>
    private static void TransferBack(nn.Module replacement, nn.Module original)
    {
        NormFreezing.Unfreeze(replacement);
        var (from, to) = ((nn.Module<Tensor, Tensor>)replacement, (nn.Module<Tensor, Tensor>)original);
        NormState.Of(from).PutBackInto(to);
        CopySettings(from, to);
        to.train(from.training);
        TorchSharpInternals.ShareHooks(from, to);
        Originals.Forget(from);
    }

    // What a user may have changed since the exchange.
    private static void CopySettings(nn.Module from, nn.Module to)
    {
        switch (from, to)
        {
            case (TorchStab.Modules.NormBase f, Host.NormBase t):
                (t.eps, t.momentum) = (f.eps, f.momentum);
                break;
            case (TorchStab.Modules.LayerNorm f, Host.LayerNorm t):
                t.eps = f.eps;
                break;
            case (TorchStab.Modules.GroupNorm f, Host.GroupNorm t):
                t.eps = f.eps;
                break;
        }
    }
}
