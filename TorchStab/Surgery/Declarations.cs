using System.Reflection;
using System.Runtime.CompilerServices;

namespace TorchStab.Surgery;

/// <summary>Writes the line of C# or F# that declares a field or property, as it is and as it must be changed.</summary>
internal static class Declarations
{
    private const string Backing = ">k__BackingField";
    private const BindingFlags Instance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    /// <summary>The full name of the type that can hold any module from one tensor to one.</summary>
    public static string AnyModule { get; } = FullName(typeof(TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>));

    /// <summary>The declaration of <paramref name="field"/>, or of the property, variable or parameter behind which it is, with short type names.</summary>
    public static string Line(FieldInfo field) => Line(field, new TypeNames(full: false, IsFSharp(field)));

    /// <summary>
    /// The declaration with full type names, in which <paramref name="by"/> (null: Module&lt;Tensor, Tensor&gt;) replaces every mention of
    /// <paramref name="replaced"/>.
    /// </summary>
    public static string Line(FieldInfo field, Type replaced, Type? by) =>
        Line(field, new TypeNames(full: true, IsFSharp(field), replaced, by is null ? AnyModule : FullName(by)));

    /// <summary>“field 'bn1' of BasicBlock”, or the table of TorchSharp that a slot belongs to.</summary>
    public static string PlaceOf(Slot slot) => slot.Declaration is { } field ? Place(field) : $"a table of {slot.Owner.GetType().Name}";

    /// <summary>“field 'bn1' of BasicBlock”, or the property, variable or parameter behind which the field is.</summary>
    private static string Place(FieldInfo field)
    {
        string kind = IsGenerated(field.DeclaringType!) ? "captured variable"
            : IsOfParameter(field) ? "primary-constructor parameter"
            : IsOfProperty(field) ? "property" : "field";
        var type = field.DeclaringType!;
        while (IsGenerated(type) && type.DeclaringType is { } outer) type = outer;
        return $"{kind} '{SourceName(field)}' of {ShortName(type)}";
    }

    public static string ShortName(Type type) => new TypeNames(full: false, fsharp: false).Of(type);

    public static string FullName(Type type) => new TypeNames(full: true, fsharp: false).Of(type);

    /// <summary>The name in the source: Norm for &lt;Norm&gt;k__BackingField and Norm@ (F#), norm for &lt;norm&gt;P.</summary>
    public static string SourceName(FieldInfo field) =>
        field.Name is ['<', ..] n && n.IndexOf('>', StringComparison.Ordinal) is > 1 and var end ? n[1..end] : field.Name.TrimEnd('@');

    private static string Line(FieldInfo field, TypeNames names)
    {
        string type = names.Of(field), name = SourceName(field);
        if (IsFSharp(field)) return $"{(IsOfRecord(field) ? "" : IsOfProperty(field) ? "member val " : "let ")}{name} : {type}";
        if (IsOfParameter(field)) return $"{type} {name}";
        if (IsOfProperty(field)) return PropertyLine(field, type, name);
        string modifiers = (field.IsDefined(typeof(RequiredMemberAttribute)) ? " required" : "") + (field.IsInitOnly ? " readonly" : "");
        return $"{Access(field.Attributes & FieldAttributes.FieldAccessMask)}{modifiers} {type} {name};";
    }

    private static string PropertyLine(FieldInfo field, string type, string name)
    {
        if (field.DeclaringType!.GetProperty(name, Instance) is not { GetMethod: { } getter } property) return $"public {type} {name} {{ get; }}";
        string access = AccessOf(getter), kind = !getter.IsVirtual || getter.IsFinal ? ""
            : (getter.Attributes & MethodAttributes.NewSlot) != 0 ? "virtual " : "override ";
        string head = $"{access} {(property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : "")}{kind}{type} {name}";
        if (!IsGenerated(getter)) return head; // it has a body
        if (property.SetMethod is not { } setter) return $"{head} {{ get; }}";
        if (!IsGenerated(setter)) return head;
        bool init = setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit));
        return $"{head} {{ get; {(AccessOf(setter) == access ? "" : AccessOf(setter) + " ")}{(init ? "init" : "set")}; }}";
    }

    /// <summary>Whether it is a captured variable, a parameter of a primary constructor, or a property that a record made of one.</summary>
    private static bool IsOfParameter(FieldInfo field) => IsGenerated(field.DeclaringType!) || IsPositional(field)
        || (!IsOfProperty(field) && field.Name != SourceName(field));

    private static bool IsPositional(FieldInfo field) => IsOfProperty(field) && field.DeclaringType!.GetMethod("PrintMembers", Instance) is not null
        && Array.Exists(field.DeclaringType.GetConstructors(Instance), c => Array.Exists(c.GetParameters(), p => p.Name == SourceName(field)));

    private static bool IsOfProperty(FieldInfo field) => field.Name.EndsWith(Backing, StringComparison.Ordinal) || field.Name.EndsWith('@');

    /// <summary>Whether F# made the field of a record's one: its class has a number for the kind of source, 2 for records.</summary>
    private static bool IsOfRecord(FieldInfo field) => field.DeclaringType!.GetCustomAttributesData()
        .Any(a => a.AttributeType.Name == "CompilationMappingAttribute" && a.ConstructorArguments is [{ Value: 2 }, ..]);

    private static bool IsFSharp(FieldInfo field) => field.DeclaringType!.Assembly.GetReferencedAssemblies().Any(a => a.Name == "FSharp.Core");

    private static bool IsGenerated(MemberInfo member) => member.IsDefined(typeof(CompilerGeneratedAttribute), false);

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
