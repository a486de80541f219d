using System.Runtime.CompilerServices;
using TorchSharp.Modules;

namespace TorchStab.Optimization;

/// <summary>Gradients of which each process holds a part only.</summary>
internal interface ISharedGradients
{
    /// <summary>Puts the sum of all parts in their place, once for each backward pass; all processes call it together.</summary>
    void Combine();

    /// <summary>The first process whose part was not finite, or null where only the sum is not; all processes ask together.</summary>
    int? CulpritOf(Parameter parameter);
}

/// <summary>Which parameters have such gradients. An optimizer asks before it looks at any.</summary>
internal static class SharedGradients
{
    private static readonly ConditionalWeakTable<Parameter, ISharedGradients> Owners = [];
    private static volatile bool s_any;

    public static void Register(Parameter parameter, ISharedGradients owner)
    {
        Owners.AddOrUpdate(parameter, owner);
        s_any = true;
    }

    public static void Forget(Parameter parameter) => Owners.Remove(parameter);

    public static void Combine(IEnumerable<Parameter> parameters)
    {
        if (!s_any) return;
        foreach (var parameter in parameters)
            if (Owners.TryGetValue(parameter, out var owner)) owner.Combine();
    }

    public static int? CulpritOf(Parameter parameter) => Owners.TryGetValue(parameter, out var owner) ? owner.CulpritOf(parameter) : null;
}
