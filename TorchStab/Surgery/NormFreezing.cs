using System.Runtime.CompilerServices;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>freeze_norms_ and unfreeze_norms_: frozen norms do not train, and normalize by their running statistics in training too.</summary>
internal static class NormFreezing
{
    private static readonly ConditionalWeakTable<nn.Module, Dictionary<string, bool>> RequiredGrad = [];

    public static SurgeryReport FreezeAll(nn.Module model, Func<string, bool>? filter)
    {
        NormSwap.RequireContainer(model, nameof(model));
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
        {
            if (RequiredGrad.TryGetValue(node.Module, out _) || !(filter?.Invoke(node.Name) ?? true)) continue;
            var twin = NormTwin.Of(node.Module);
            // TorchSharp's norms return to batch statistics with every model.train().
            if (twin is not null && HasStatistics(node.Module)) plan.TryReplace(node, twin.Type, NormNames.Of(twin.Type) + ", frozen", twin.Build);
            else if (twin is not null || node.Module is AffineModule) plan.Alter(node, NormNames.Of(node.Module) + ", frozen");
        }
        UnreachableNorms.List(plan, filter);
        return plan.Commit((old, frozen) =>
        {
            if (old != frozen) NormSwap.Transfer(old, frozen);
            Freeze(frozen);
        });
    }

    public static SurgeryReport UnfreezeAll(nn.Module model)
    {
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes.Where(n => RequiredGrad.TryGetValue(n.Module, out _))) plan.Alter(node, NormNames.Of(node.Module) + ", trainable");
        return plan.Commit((_, frozen) => Unfreeze(frozen));
    }

    /// <summary>Remembers which parameters require a gradient and turns that off; a norm with running statistics uses them in training too.</summary>
    public static void Freeze(nn.Module norm)
    {
        if (RequiredGrad.TryGetValue(norm, out _)) return;
        RequiredGrad.Add(norm, norm.named_parameters(false).ToDictionary(p => p.name, p => p.parameter.requires_grad));
        foreach (var (_, parameter) in norm.named_parameters(false))
        {
            parameter.requires_grad = false;
            parameter.grad = null; // else an optimizer would still apply it
        }
        UseRunningStatistics(norm);
    }

    /// <summary>Freezes the replacement of a frozen module, and remembers the state before freezing for it.</summary>
    public static void Transfer(nn.Module old, nn.Module replacement)
    {
        if (!RequiredGrad.TryGetValue(old, out var required)) return;
        RequiredGrad.Remove(old);
        RequiredGrad.Add(replacement, required);
        UseRunningStatistics(replacement);
    }

    private static void UseRunningStatistics(nn.Module norm)
    {
        if (norm is NormBase { running_mean: not null } tracking) tracking.Frozen = true;
    }

    /// <summary>Undoes <see cref="Freeze"/>; does nothing if the norm is not frozen.</summary>
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
