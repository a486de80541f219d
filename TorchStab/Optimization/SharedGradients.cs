using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using TorchStab.Dispatch;

namespace TorchStab.Optimization;

/// <summary>Gradients of which each process has computed only a part.</summary>
internal interface ISharedGradients
{
    /// <summary>Replaces the parts by their sum, once for each backward pass. All processes must call it together.</summary>
    void Combine();

    /// <summary>The first process whose part was not finite; null if only the sum is not. All processes must call it together.</summary>
    int? CulpritOf(Parameter parameter);
}

/// <summary>The parameters that have such gradients. An optimizer calls <see cref="Combine"/> before it reads any gradient.</summary>
internal static class SharedGradients
{
    private static readonly ConditionalWeakTable<Parameter, ISharedGradients> Owners = [];

    // Finds a parameter of which the optimizer has another object. An entry whose object was collected is ignored, because its native tensor may be freed.
    private static readonly ConcurrentDictionary<ParameterIdentity, WeakReference<Parameter>> Registered = [];
    private static volatile bool s_any;

    public static void Register(Parameter parameter, ISharedGradients owner)
    {
        foreach (var (identity, known) in Registered)
            if (!known.TryGetTarget(out var target) || target.IsInvalid) Registered.TryRemove(identity, out _);
        Owners.AddOrUpdate(parameter, owner);
        Registered[ParameterIdentity.OfLeaf(parameter)] = new(parameter);
        s_any = true;
    }

    public static void Forget(Parameter parameter) => Owners.Remove(parameter);

    public static void Combine(IEnumerable<Parameter> parameters)
    {
        if (!s_any) return;
        foreach (var parameter in parameters)
            if (Known(parameter) is { } known && Owners.TryGetValue(known, out var owner)) owner.Combine();
    }

    public static int? CulpritOf(Parameter parameter) =>
        Known(parameter) is { } known && Owners.TryGetValue(known, out var owner) ? owner.CulpritOf(known) : null;

    private static Parameter? Known(Parameter parameter) => parameter.IsInvalid || Owners.TryGetValue(parameter, out _) ? parameter
        : Registered.TryGetValue(ParameterIdentity.OfLeaf(parameter), out var known) && known.TryGetTarget(out var target) && !target.IsInvalid ? target : null;
}
