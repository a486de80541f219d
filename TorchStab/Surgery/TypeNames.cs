namespace TorchStab.Surgery;

/// <summary>How C# and F# write a type.</summary>
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

    /// <summary>Each of the types around it has its own of the arguments, which are all listed with the innermost.</summary>
    private static string Nested(Type type, Type[] arguments, bool full, Func<Type, string> nameOf)
    {
        int before = type.DeclaringType?.GetGenericArguments().Length ?? 0;
        // F# calls FSharpList and its like List.
        string name = type.Namespace?.StartsWith("Microsoft.FSharp", StringComparison.Ordinal) == true && type.Name.StartsWith("FSharp", StringComparison.Ordinal) ? type.Name["FSharp".Length..] : type.Name;
        if (name.IndexOf('`', StringComparison.Ordinal) is > 0 and var tick) name = name[..tick];
        if (arguments.Length > before) name += $"<{string.Join(", ", arguments.Skip(before).Select(nameOf))}>";
        if (!full) return name;
        if (type.DeclaringType is { } outer) return $"{Nested(outer, arguments[..before], true, nameOf)}.{name}";
        return type.Namespace is { Length: > 0 } space ? $"{space}.{name}" : name;
    }
}
