using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;

namespace TorchStab.Optimization;

/// <summary>Finds the new parameter for each entry of an optimizer.</summary>
internal static class Rebinding
{
    /// <summary>Throws if a name or a parameter is null or disposed.</summary>
    public static void Require(List<(string Name, Parameter Parameter)> now)
    {
        foreach (var (name, p) in now)
        {
            string? why = name is null ? "a name that is null" : p is null ? $"null as '{name}'" : p.IsInvalid ? $"'{name}', which was disposed" : null;
            if (why is not null) throw Refused($"expected the names and parameters in place now, got {why}");
        }
    }

    public static Dictionary<ParameterSlot, Parameter> Match(List<List<ParameterSlot>> groups, List<(string Name, Parameter Parameter)> now)
    {
        var slots = groups.SelectMany(g => g).ToList();
        var found = slots.TrueForAll(s => s.Name is not null) ? ByName(slots, now) : ByPosition(slots, now);
        foreach (var (slot, p) in found)
            if (!p.is_leaf || !p.is_floating_point() || p.is_sparse)
                throw Refused($"expected a leaf of a floating dtype, dense, for {slot.Name ?? "a parameter"}, got one of "
                    + $"{p.dtype}{(p.is_leaf ? "" : ", not a leaf")}");
        if (GradientSet.Distinct(found.Values).Count != found.Count)
            throw Refused("some parameters appear in more than one parameter group");
        return found;
    }

    private static Dictionary<ParameterSlot, Parameter> ByName(List<ParameterSlot> slots, List<(string Name, Parameter Parameter)> now)
    {
        var byName = new Dictionary<string, Parameter>();
        foreach (var (name, parameter) in now) byName.TryAdd(name, parameter);
        var found = slots.Where(s => byName.ContainsKey(s.Name!)).ToDictionary(s => s, s => byName[s.Name!]);
        foreach (var (slot, parameter) in found)
            if (slot.Names.FirstOrDefault(n => byName.TryGetValue(n, out var other) && ParameterIdentity.OfLeaf(other) != ParameterIdentity.OfLeaf(parameter))
                is { } untied)
                throw Refused($"'{untied}' was the same parameter as '{slot.Name}' and is one of its own now, as model.to() makes of tied weights; tie them "
                    + "again, then rebind");
        return found.Count > 0 ? found : throw Refused("expected the model this optimizer was built from, got one that has none of its " +
            $"parameters' names ('{slots[0].Name}', …)");
    }

    private static Dictionary<ParameterSlot, Parameter> ByPosition(List<ParameterSlot> slots, List<(string Name, Parameter Parameter)> now)
    {
        const string WayOut = "build the optimizer from model.named_parameters(), then they are found by name";
        now = [.. now.DistinctBy(n => ParameterIdentity.OfLeaf(n.Parameter))];
        if (slots.Count != now.Count)
            throw Refused($"expected {slots.Count} parameters, in the order the optimizer was given them, got {now.Count}; {WayOut}");
        for (int i = 0; i < slots.Count; i++)
            if (!slots[i].Shape.SequenceEqual(now[i].Parameter.shape))
                throw Refused($"expected shape [{string.Join(", ", slots[i].Shape)}] at position {i}, got '{now[i].Name}' of shape " +
                    $"[{string.Join(", ", now[i].Parameter.shape)}]; {WayOut}");
        return slots.Zip(now).ToDictionary(p => p.First, p => p.Second.Parameter);
    }

    private static ArgumentException Refused(string why, string argument = "named_parameters") => new(why, argument);
}
