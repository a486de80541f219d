using System.Reflection;
using System.Runtime.CompilerServices;

namespace TorchStab.Surgery;

/// <summary>Writes the C# line that declares a field or property, as it is and as it would have to be.</summary>
internal static class Declarations
{
    /// <summary>
    /// The declaration of <paramref name="field"/> (of the property, variable or parameter it stands for); every mention of
    /// <paramref name="replaced"/> becomes Module&lt;Tensor, Tensor&gt;.
    /// </summary>
    public static string Line(FieldInfo field, Type? replaced = null)
    {
        string type = TypeName(field.FieldType, replaced), name = SourceName(field);
        if (field.Name.EndsWith(">k__BackingField", StringComparison.Ordinal)) return PropertyLine(field, type, name);
        if (IsGenerated(field.DeclaringType!) || field.Name != name) return $"{type} {name}";
        return $"{Access(field.IsPublic, field.IsFamily, field.IsAssembly)}{(field.IsInitOnly ? " readonly" : "")} {type} {name};";
    }

    /// <summary>“field 'bn1' of BasicBlock”, or the property or variable it stands for.</summary>
    public static string Place(FieldInfo field)
    {
        string kind = field.Name.EndsWith(">k__BackingField", StringComparison.Ordinal) ? "property"
            : IsGenerated(field.DeclaringType!) ? "captured variable"
            : field.Name != SourceName(field) ? "primary-constructor parameter" : "field";
        var type = field.DeclaringType!;
        while (IsGenerated(type) && type.DeclaringType is { } outer) type = outer;
        return $"{kind} '{SourceName(field)}' of {TypeName(type)}";
    }

    public static string TypeName(Type type, Type? replaced = null)
    {
        if (type == replaced) return "Module<Tensor, Tensor>";
        if (type == typeof(string) || type == typeof(object)) return type.Name.ToLowerInvariant();
        if (type == typeof(int)) return "int";
        if (type.IsArray) return TypeName(type.GetElementType()!, replaced) + "[]";
        if (type.IsGenericType && type.FullName!.StartsWith("System.ValueTuple`", StringComparison.Ordinal)) return $"({Arguments(type, replaced)})";
        return type.IsGenericType ? $"{type.Name[..Math.Max(0, type.Name.IndexOf('`', StringComparison.Ordinal))]}<{Arguments(type, replaced)}>" : type.Name;
    }

    private static string Arguments(Type type, Type? replaced) => string.Join(", ", type.GetGenericArguments().Select(a => TypeName(a, replaced)));

    private static string PropertyLine(FieldInfo field, string type, string name)
    {
        var property = field.DeclaringType!.GetProperty(name, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        var getter = property?.GetMethod;
        string access = getter is null ? "public" : Access(getter.IsPublic, getter.IsFamily, getter.IsAssembly);
        bool init = property?.SetMethod?.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) == true;
        return $"{access} {type} {name} {{ get; {(property?.SetMethod is null ? "" : init ? "init; " : "set; ")}}}";
    }

    // <Norm>k__BackingField, <norm>P
    private static string SourceName(FieldInfo field) => field.Name is ['<', ..] n && n.IndexOf('>', StringComparison.Ordinal) is > 1 and var end ? n[1..end] : field.Name;

    private static bool IsGenerated(Type type) => type.IsDefined(typeof(CompilerGeneratedAttribute), false);

    private static string Access(bool isPublic, bool isFamily, bool isAssembly) =>
        isPublic ? "public" : isFamily ? "protected" : isAssembly ? "internal" : "private";
}
