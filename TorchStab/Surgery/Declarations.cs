using System.Reflection;
using System.Runtime.CompilerServices;

namespace TorchStab.Surgery;

/// <summary>Writes the line of C# or F# that declares a field or property, as it is and as it must be changed.</summary>
internal static class Declarations
{
    private const string Backing = ">k__BackingField";

    /// <summary>The full name of the type that can hold any module from one tensor to one.</summary>
    public static string AnyModule { get; } = FullName(typeof(TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>));

    /// <summary>The declaration of <paramref name="field"/>, or of the property, variable or parameter behind which it is, with short type names.</summary>
    public static string Line(FieldInfo field) => Line(field, t => TypeNames.Of(t, full: false, IsFSharp(field)));

    /// <summary>
    /// The declaration with full type names, in which <paramref name="by"/> (null: Module&lt;Tensor, Tensor&gt;) replaces every mention of
    /// <paramref name="replaced"/>.
    /// </summary>
    public static string Line(FieldInfo field, Type replaced, Type? by) =>
        Line(field, t => TypeNames.Of(t, full: true, IsFSharp(field), replaced, by is null ? AnyModule : FullName(by)));

    /// <summary>“field 'bn1' of BasicBlock”, or the table of TorchSharp that a slot belongs to.</summary>
    public static string PlaceOf(Slot slot) => slot.Declaration is { } field ? Place(field) : $"a table of {slot.Owner.GetType().Name}";

    /// <summary>“field 'bn1' of BasicBlock”, or the property, variable or parameter behind which the field is.</summary>
    private static string Place(FieldInfo field)
    {
        string kind = IsOfProperty(field) ? "property"
            : IsGenerated(field.DeclaringType!) ? "captured variable"
            : field.Name != SourceName(field) ? "primary-constructor parameter" : "field";
        var type = field.DeclaringType!;
        while (IsGenerated(type) && type.DeclaringType is { } outer) type = outer;
        return $"{kind} '{SourceName(field)}' of {ShortName(type)}";
    }

    public static string ShortName(Type type) => TypeNames.Of(type, full: false, fsharp: false);

    public static string FullName(Type type) => TypeNames.Of(type, full: true, fsharp: false);

    /// <summary>The name in the source: Norm for &lt;Norm&gt;k__BackingField and Norm@ (F#), norm for &lt;norm&gt;P.</summary>
    public static string SourceName(FieldInfo field) =>
        field.Name is ['<', ..] n && n.IndexOf('>', StringComparison.Ordinal) is > 1 and var end ? n[1..end] : field.Name.TrimEnd('@');

    private static string Line(FieldInfo field, Func<Type, string> nameOf)
    {
        string type = nameOf(field.FieldType), name = SourceName(field);
        if (IsFSharp(field)) return $"{(IsOfProperty(field) ? "member val" : "let")} {name} : {type}";
        if (!field.FieldType.IsValueType && new NullabilityInfoContext().Create(field).ReadState == NullabilityState.Nullable) type += "?";
        if (IsOfProperty(field)) return PropertyLine(field, type, name);
        if (IsGenerated(field.DeclaringType!) || field.Name != name) return $"{type} {name}";
        string access = Access(field.Attributes & FieldAttributes.FieldAccessMask);
        return $"{access}{(field.IsStatic ? " static" : "")}{(field.IsInitOnly ? " readonly" : "")} {type} {name};";
    }

    private static string PropertyLine(FieldInfo field, string type, string name)
    {
        var property = field.DeclaringType!.GetProperty(name, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        string access = property?.GetMethod is { } getter ? AccessOf(getter) : "public";
        if (property?.SetMethod is not { } setter) return $"{access} {type} {name} {{ get; }}";
        bool init = setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit));
        return $"{access} {type} {name} {{ get; {(AccessOf(setter) == access ? "" : AccessOf(setter) + " ")}{(init ? "init" : "set")}; }}";
    }

    private static bool IsOfProperty(FieldInfo field) => field.Name.EndsWith(Backing, StringComparison.Ordinal) || field.Name.EndsWith('@');

    private static bool IsFSharp(FieldInfo field) => field.DeclaringType!.Assembly.GetReferencedAssemblies().Any(a => a.Name == "FSharp.Core");

    private static bool IsGenerated(Type type) => type.IsDefined(typeof(CompilerGeneratedAttribute), false);

    // The masks of methods and of fields have the same values.
    private static string AccessOf(MethodInfo method) => Access((FieldAttributes)(method.Attributes & MethodAttributes.MemberAccessMask));

    private static string Access(FieldAttributes access) => access switch
    {
        FieldAttributes.Public => "public",
        FieldAttributes.FamORAssem => "protected internal",
        FieldAttributes.Family => "protected",
        FieldAttributes.Assembly => "internal",
        FieldAttributes.FamANDAssem => "private protected",
        _ => "private",
    };
}
