using System.Collections;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>A module that a model holds without registering it.</summary>
/// <param name="Name">The field or item that holds it, such as “blocks[0]”.</param>
/// <param name="Type">The name of its type.</param>
internal sealed record UnregisteredModule(string Name, string Type)
{
    public const string WayOut = "hold it in a ModuleList, or call register_module";

    public string Evidence => $"{Name} ({Type}) is not registered: its parameters are not in parameters(), and nothing initializes or trains them";

    public override string ToString() => $"{Evidence}; {WayOut}";
}

/// <summary>
/// Finds modules that a user's module holds in a field, an array, a list or a dictionary without registering them. Their parameters are not in
/// <c>parameters()</c>, so nothing initializes, trains, moves or saves them. Frozen modules are left out: a teacher, or the network of a perceptual loss,
/// is not registered so that it is not trained.
/// </summary>
internal static class UnregisteredModules
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const int Depth = 4;

    /// <summary>Says which modules nothing that takes the model's parameters can have, where there is no report to say it.</summary>
    public static void WarnOf(nn.Module model)
    {
        foreach (var module in Of(model)) Trace.TraceWarning(module.ToString());
    }

    public static List<UnregisteredModule> Of(nn.Module model) => Of(ModuleTree.Nodes(model));

    public static List<UnregisteredModule> Of(IReadOnlyList<ModuleNode> nodes)
    {
        var known = nodes.Select(n => n.Module).ToHashSet(ReferenceEqualityComparer.Instance);
        var found = new List<UnregisteredModule>();
        foreach (var node in nodes)
        {
            foreach (var (name, module) in Fields(node.Module).SelectMany(f => Held(f.GetValue(node.Module), NameOf(f), Depth)))
            {
                if (known.Contains(module) || !module.parameters().Any(p => p.requires_grad) || IsAround(module, nodes[0].Module)) continue;
                known.UnionWith(ModuleTree.Nodes(module).Select(n => n.Module));
                found.Add(new(node.NameOf(name), module.GetType().Name));
            }
        }

        return found;
    }

    /// <summary>Whether a module contains the root: a module may have a reference to the model that it is part of.</summary>
    private static bool IsAround(nn.Module module, nn.Module root) => ModuleTree.Nodes(module).Exists(n => ReferenceEquals(n.Module, root));

    private static IEnumerable<FieldInfo> Fields(nn.Module module)
    {
        for (var type = module.GetType(); type is not null && IsUserType(type); type = type.BaseType)
            foreach (var field in type.GetFields(Declared)) yield return field;
    }

    private static bool IsUserType(Type type) => type.Assembly != typeof(nn.Module).Assembly && type.Assembly != typeof(ModuleTree).Assembly;

    // The compiler names the field of an automatic property after the property.
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

    // The members of a ModuleList or ModuleDict are registered when it is. TorchSharp does not implement a ModuleDict's enumerator.
    private static IEnumerable<nn.Module> Members(nn.Module module) => module.GetType().Assembly != typeof(nn.Module).Assembly ? []
        : module as IEnumerable<nn.Module> ?? module.GetType().GetProperty("Values")?.GetValue(module) as IEnumerable<nn.Module> ?? [];

    // Enumerates known collections only: enumerating an arbitrary sequence may have side effects.
    private static bool IsCollection(Type collection)
    {
        if (!collection.IsArray && collection.Namespace?.StartsWith("System.Collections", StringComparison.Ordinal) != true) return false;
        var items = collection.IsArray ? [collection.GetElementType()!] : collection.GetGenericArguments();
        return !items.All(t => t.IsPrimitive || t == typeof(string) || typeof(Tensor).IsAssignableFrom(t));
    }
}
