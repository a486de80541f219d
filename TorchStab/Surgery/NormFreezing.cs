using System.Runtime.CompilerServices;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>freeze_norms_ and unfreeze_norms_: parameters that don't train, and running statistics that normalize in training too.</summary>
internal static class NormFreezing
{
    private static readonly ConditionalWeakTable<nn.Module, Dictionary<string, bool>> RequiredGrad = [];

    public static SurgeryReport FreezeAll(nn.Module model, Func<string, bool>? filter)
    {
        NormSwap.RequireContainer(model, nameof(model));
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
        {
            if (RequiredGrad.TryGetValue(node.Module, out _) || !(filter?.Invoke(node.Path) ?? true)) continue;
            var twin = NormTwin.Of(node.Module);
            // TorchSharp's own goes back to batch statistics with every model.train().
            if (twin is not null && HasStatistics(node.Module)) plan.TryReplace(node, twin.Type, NormNames.Of(twin.Type) + ", frozen", twin.Build);
            else if (twin is not null || node.Module is AffineModule) plan.Alter(node, NormNames.Of(node.Module) + ", frozen");
        }
        UnreachableNorms.List(plan, filter);
        return plan.Commit((old, frozen) =>
        {
            if (old != frozen) NormSwap.TakeOver(old, frozen);
            Freeze(frozen);
        });
    }

    public static SurgeryReport UnfreezeAll(nn.Module model)
    {
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes.Where(n => RequiredGrad.TryGetValue(n.Module, out _))) plan.Alter(node, NormNames.Of(node.Module) + ", trainable");
        return plan.Commit((_, frozen) => Unfreeze(frozen));
    }

    /// <summary>Remembers which parameters trained, and stops them; a norm with running statistics stays in eval mode.</summary>
    public static void Freeze(nn.Module norm)
    {
        if (RequiredGrad.TryGetValue(norm, out _)) return;
        RequiredGrad.Add(norm, norm.named_parameters(false).ToDictionary(p => p.name, p => p.parameter.requires_grad));
        foreach (var (_, parameter) in norm.named_parameters(false))
        {
            parameter.requires_grad = false;
            parameter.grad = null; // or an optimizer would go on applying it
        }
        KeepMode(norm);
    }

    /// <summary>A module that takes a frozen one's place is frozen, and thaws to what that one was before.</summary>
    public static void Follow(nn.Module old, nn.Module replacement)
    {
        if (!RequiredGrad.TryGetValue(old, out var required)) return;
        RequiredGrad.Remove(old);
        RequiredGrad.Add(replacement, required);
        KeepMode(replacement);
    }

    private static void KeepMode(nn.Module norm)
    {
        if (norm is NormBase { running_mean: not null } tracking) tracking.Frozen = true;
    }

    /// <summary>Undoes <see cref="Freeze"/>; nothing for a norm that isn't frozen.</summary>
    public static void Unfreeze(nn.Module norm)
    {
        if (!RequiredGrad.TryGetValue(norm, out var required)) return;
        RequiredGrad.Remove(norm);
        foreach (var (name, parameter) in norm.named_parameters(false))
            if (required.TryGetValue(name, out bool trained)) parameter.requires_grad = trained;
        if (norm is NormBase tracking) tracking.Frozen = false;
    }

    private static bool HasStatistics(nn.Module norm) => norm.get_buffer("running_mean") is not null;
}
