using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;

namespace TorchStab.Optimization;

/// <summary>Finds for each place in an optimizer the parameter that stands there now.</summary>
internal static class Rebinding
{
    public static Dictionary<ParameterSlot, Parameter> Match(List<List<ParameterSlot>> groups, List<(string Name, Parameter Parameter)> now)
    {
        var slots = groups.SelectMany(g => g).ToList();
        var found = slots.TrueForAll(s => s.Name is not null) ? ByName(slots, now) : ByPosition(slots, now);
        if (GradientSet.Distinct(found.Values).Count != found.Count)
            throw new ArgumentException("some parameters appear in more than one parameter group", nameof(now));
        return found;
    }

    private static Dictionary<ParameterSlot, Parameter> ByName(List<ParameterSlot> slots, List<(string Name, Parameter Parameter)> now)
    {
        var byName = new Dictionary<string, Parameter>();
        foreach (var (name, parameter) in now) byName.TryAdd(name, parameter);
        var found = slots.Where(s => byName.ContainsKey(s.Name!)).ToDictionary(s => s, s => byName[s.Name!]);
        foreach (var (slot, parameter) in found)
            if (slot.Names.FirstOrDefault(n => byName.TryGetValue(n, out var other) && ParameterIdentity.OfLeaf(other) != ParameterIdentity.OfLeaf(parameter)) is { } untied)
                throw new ArgumentException($"'{untied}' was the same parameter as '{slot.Name}' and is one of its own now, as model.to() makes of tied weights; tie them again, then rebind", nameof(now));
        return found.Count > 0 ? found : throw new ArgumentException("expected the model this optimizer was built from, got one that has none of its " +
            $"parameters' names ('{slots[0].Name}', …)", nameof(now));
    }

    private static Dictionary<ParameterSlot, Parameter> ByPosition(List<ParameterSlot> slots, List<(string Name, Parameter Parameter)> now)
    {
        const string WayOut = "build the optimizer from model.named_parameters(), then they are found by name";
        now = [.. now.DistinctBy(n => ParameterIdentity.OfLeaf(n.Parameter))];
        if (slots.Count != now.Count)
            throw new ArgumentException($"expected {slots.Count} parameters, in the order the optimizer was given them, got {now.Count}; {WayOut}", nameof(now));
        for (int i = 0; i < slots.Count; i++)
            if (!slots[i].Shape.SequenceEqual(now[i].Parameter.shape))
                throw new ArgumentException($"expected shape [{string.Join(", ", slots[i].Shape)}] at position {i}, got '{now[i].Name}' of shape " +
                    $"[{string.Join(", ", now[i].Parameter.shape)}]; {WayOut}", nameof(now));
        return slots.Zip(now).ToDictionary(p => p.First, p => p.Second.Parameter);
    }
}
