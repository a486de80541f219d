namespace TorchStab.Surgery;

/// <summary>Writes the name of a type in C# or F#.</summary>
internal static class TypeNames
{
    /// <summary>The name, short or full; every mention of <paramref name="replaced"/> becomes <paramref name="by"/>.</summary>
    public static string Of(Type type, bool full, bool fsharp, Type? replaced = null, string by = "")
    {
        string Name(Type t) => Of(t, full, fsharp, replaced, by);
        if (type == replaced) return by;
        if (type == typeof(string)) return "string";
        if (type == typeof(object)) return fsharp ? "obj" : "object";
        if (type == typeof(int)) return "int";
        if (type.IsArray) return $"{Name(type.GetElementType()!)}[{new string(',', type.GetArrayRank() - 1)}]";
        if (type.IsGenericParameter) return type.Name;
        var arguments = type.GetGenericArguments();
        if (type.FullName?.StartsWith("System.ValueTuple`", StringComparison.Ordinal) == true)
            return fsharp ? $"struct ({string.Join(" * ", arguments.Select(Name))})" : $"({string.Join(", ", arguments.Select(Name))})";
        if (fsharp && type.FullName?.StartsWith("System.Tuple`", StringComparison.Ordinal) == true) return $"({string.Join(" * ", arguments.Select(Name))})";
        return Nested(type, arguments, full, Name);
    }

    /// <summary>A nested type lists the type arguments of all types around it; each type's name gets its own ones.</summary>
    private static string Nested(Type type, Type[] arguments, bool full, Func<Type, string> nameOf)
    {
        int before = type.DeclaringType?.GetGenericArguments().Length ?? 0;
        // FSharpList, FSharpOption and others are List, Option, … in the source.
        bool fsharp = type.Namespace?.StartsWith("Microsoft.FSharp", StringComparison.Ordinal) == true
            && type.Name.StartsWith("FSharp", StringComparison.Ordinal);
        string name = fsharp ? type.Name["FSharp".Length..] : type.Name;
        if (name.IndexOf('`', StringComparison.Ordinal) is > 0 and var tick) name = name[..tick];
        if (arguments.Length > before) name += $"<{string.Join(", ", arguments.Skip(before).Select(nameOf))}>";
        if (!full) return name;
        if (type.DeclaringType is { } outer) return $"{Nested(outer, arguments[..before], true, nameOf)}.{name}";
        return type.Namespace is { Length: > 0 } space ? $"{space}.{name}" : name;
    }
}
