using System.Reflection;
using System.Runtime.CompilerServices;

namespace TorchStab.Surgery;

/// <summary>Writes the name of a type in C# or F#.</summary>
/// <param name="full">Whether names have their namespace.</param>
/// <param name="fsharp">Whether to write F#.</param>
/// <param name="replaced">A type whose every mention becomes <paramref name="by"/>; null: none.</param>
/// <param name="by">What replaces it.</param>
internal sealed class TypeNames(bool full, bool fsharp, Type? replaced = null, string by = "")
{
    /// <summary>The names of the elements of all tuples in a declaration, outer tuples first; null for an element without one.</summary>
    private readonly Queue<string?> _elements = [];

    /// <summary>The name of a type.</summary>
    public string Of(Type type) => Of(type, null);

    /// <summary>The type of a field as declared, with the names of its tuples' elements, and with ? where it may be null.</summary>
    public string Of(FieldInfo field)
    {
        foreach (string? name in field.GetCustomAttribute<TupleElementNamesAttribute>()?.TransformNames ?? []) _elements.Enqueue(name);
        return Of(field.FieldType, fsharp ? null : new NullabilityInfoContext().Create(field));
    }

    private string Of(Type type, NullabilityInfo? nulls) =>
        Bare(type, nulls) + (nulls is { ReadState: NullabilityState.Nullable } && !type.IsValueType ? "?" : "");

    private string Bare(Type type, NullabilityInfo? nulls)
    {
        if (type == replaced) return by;
        if (type == typeof(string)) return "string";
        if (type == typeof(object)) return fsharp ? "obj" : "object";
        if (type == typeof(int)) return "int";
        if (type.IsArray) return $"{Of(type.GetElementType()!, nulls?.ElementType)}[{new string(',', type.GetArrayRank() - 1)}]";
        if (type.IsGenericParameter) return type.Name;
        if (type.FullName?.StartsWith("System.ValueTuple`", StringComparison.Ordinal) == true)
        {
            var elements = Elements(type, nulls);
            return fsharp ? $"struct ({string.Join(" * ", elements)})" : $"({string.Join(", ", elements)})";
        }
        var arguments = Arguments(type, nulls);
        bool isTuple = fsharp && type.FullName?.StartsWith("System.Tuple`", StringComparison.Ordinal) == true;
        return isTuple ? $"({string.Join(" * ", arguments)})" : Nested(type, arguments);
    }

    private string[] Arguments(Type type, NullabilityInfo? nulls) =>
        [.. type.GetGenericArguments().Select((t, i) => Of(t, nulls?.GenericTypeArguments.ElementAtOrDefault(i)))];

    private string[] Elements(Type tuple, NullabilityInfo? nulls)
    {
        string?[] names = [.. tuple.GetGenericArguments().Select(_ => _elements.TryDequeue(out string? name) ? name : null)];
        return [.. Arguments(tuple, nulls).Select((type, i) => names[i] is { } name ? $"{type} {name}" : type)];
    }

    /// <summary>A nested type lists the type arguments of all types around it; each type's name gets its own ones.</summary>
    private string Nested(Type type, string[] arguments)
    {
        int before = type.DeclaringType?.GetGenericArguments().Length ?? 0;
        // FSharpList, FSharpOption and others are List, Option, … in the source.
        bool isOfFSharp = type.Namespace?.StartsWith("Microsoft.FSharp", StringComparison.Ordinal) == true
            && type.Name.StartsWith("FSharp", StringComparison.Ordinal);
        string name = isOfFSharp ? type.Name["FSharp".Length..] : type.Name;
        if (name.IndexOf('`', StringComparison.Ordinal) is > 0 and var tick) name = name[..tick];
        if (arguments.Length > before) name += $"<{string.Join(", ", arguments.Skip(before))}>";
        if (!full) return name;
        if (type.DeclaringType is { } outer) return $"{Nested(outer, arguments[..before])}.{name}";
        return type.Namespace is { Length: > 0 } space ? $"{space}.{name}" : name;
    }
}
