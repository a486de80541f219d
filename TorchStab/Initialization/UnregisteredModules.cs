using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// Modules that a user's module holds in a field, an array, a list or a dictionary without having registered them: their parameters are not in
/// <c>parameters()</c>, so nothing initializes, trains, moves or saves them.
/// </summary>
internal static class UnregisteredModules
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const int Depth = 4;

    /// <summary>Each with the place it is held in and its type, such as “blocks[0] (Linear)”.</summary>
    public static List<string> Names(IReadOnlyList<ModuleNode> nodes)
    {
        var known = nodes.Select(n => n.Module).ToHashSet(ReferenceEqualityComparer.Instance);
        var names = new List<string>();
        foreach (var node in nodes)
        {
            foreach (var (name, module) in Fields(node.Module).SelectMany(f => Held(f.GetValue(node.Module), NameOf(f), Depth)))
            {
                if (known.Contains(module) || !module.parameters().Any() || IsAround(module, nodes[0].Module)) continue;
                known.UnionWith(ModuleTree.Nodes(module).Select(n => n.Module));
                names.Add($"{node.NameOf(name)} ({module.GetType().Name})");
            }
        }

        return names;
    }

    /// <summary>A module may know the one that it is part of.</summary>
    private static bool IsAround(nn.Module module, nn.Module root) => ModuleTree.Nodes(module).Exists(n => ReferenceEquals(n.Module, root));

    private static IEnumerable<FieldInfo> Fields(nn.Module module)
    {
        for (var type = module.GetType(); type is not null && type.Assembly != typeof(nn.Module).Assembly && type.Assembly != typeof(ModuleTree).Assembly; type = type.BaseType)
            foreach (var field in type.GetFields(Declared)) yield return field;
    }

    // Properties without a field of their own have one that the compiler names after them.
    private static string NameOf(FieldInfo field) => field.Name.StartsWith('<') ? field.Name[1..field.Name.IndexOf('>', StringComparison.Ordinal)] : field.Name;

    private static IEnumerable<(string name, nn.Module module)> Held(object? value, string name, int depth) => value switch
    {
        nn.Module module => [(name, module), .. Members(module).Select((member, i) => ($"{name}[{i}]", member))],
        _ when depth == 0 => [],
        IDictionary table => table.Keys.Cast<object>().SelectMany(key => Held(table[key], $"{name}[{key}]", depth - 1)),
        IEnumerable items when IsCollection(items.GetType()) => Items(items, name, depth),
        ITuple tuple => Enumerable.Range(0, tuple.Length).SelectMany(i => Held(tuple[i], $"{name}.Item{i + 1}", depth - 1)),
        _ => [],
    };

    private static IEnumerable<(string name, nn.Module module)> Items(IEnumerable items, string name, int depth) =>
        items.Cast<object?>().SelectMany((item, i) => Held(item, $"{name}[{i}]", depth - 1));

    // A ModuleList or ModuleDict registers its members when it is registered itself. A ModuleDict's own enumerator is not implemented.
    private static IEnumerable<nn.Module> Members(nn.Module module) => module.GetType().Assembly != typeof(nn.Module).Assembly ? []
        : module as IEnumerable<nn.Module> ?? module.GetType().GetProperty("Values")?.GetValue(module) as IEnumerable<nn.Module> ?? [];

    // Of arbitrary sequences nobody knows what it does to read them.
    private static bool IsCollection(Type collection)
    {
        if (!collection.IsArray && collection.Namespace?.StartsWith("System.Collections", StringComparison.Ordinal) != true) return false;
        var items = collection.IsArray ? [collection.GetElementType()!] : collection.GetGenericArguments();
        return !items.All(t => t.IsPrimitive || t == typeof(string) || typeof(Tensor).IsAssignableFrom(t));
    }
}
