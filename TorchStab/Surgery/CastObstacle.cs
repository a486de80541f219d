using System.Reflection;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Refuses an exchange after which the model's own code would fail, because it casts the module to its type.</summary>
internal static class CastObstacle
{
    /// <summary>A refusal that names the first such cast in the modules around the node; null if there is none.</summary>
    public static ModuleRefusal? Of(ModuleNode node, Type replacement)
    {
        nn.Module? holder = null;
        foreach (var parent in node.Path.Reverse().Skip(1))
        {
            if (!ObjectGraph.IsUserCode(parent.GetType())) continue; // a container of TorchSharp
            holder ??= parent;
            var casts = TypeCasts.Of(parent.GetType());
            foreach (var cast in casts.Where(c => c.Type.IsInstanceOfType(node.Module) && !c.Type.IsAssignableFrom(replacement)))
                if (Concerns(cast, parent, node.Module, holder, casts, replacement)) return Refusal(node, cast, parent);
        }
        return null;
    }

    private static bool Concerns(TypeCast cast, nn.Module parent, nn.Module module, nn.Module holder, IReadOnlyList<TypeCast> all, Type replacement)
    {
        if (cast.Property is { } property) return ReferenceEquals(Value(property, parent), module);
        if (cast.Field is { IsStatic: false } field && field.DeclaringType!.IsInstanceOfType(parent) && typeof(nn.Module).IsAssignableFrom(field.FieldType))
            return ReferenceEquals(field.GetValue(parent), module);
        // The code does not show which module is cast: it may be any module that an instance of this class holds. Code that also tests for the new type
        // works with both.
        bool held = typeof(nn.Module).IsAssignableFrom(cast.Class) ? cast.Class.IsInstanceOfType(holder) : holder == parent;
        return held && !all.Any(c => c.Method == cast.Method && c.Type.IsAssignableFrom(replacement) && c.Type.Namespace == replacement.Namespace);
    }

    private static object? Value(PropertyInfo property, nn.Module module)
    {
        try
        {
            return property.GetValue(module);
        }
        catch (TargetInvocationException)
        {
            return null; // a property that throws does not return this module
        }
    }

    private static ModuleRefusal Refusal(ModuleNode node, TypeCast cast, nn.Module parent)
    {
        string type = Declarations.ShortName(cast.Type), owner = Declarations.ShortName(parent.GetType());
        string where = cast.Property is { } p ? $"property '{p.Name}'" : $"the code that forward runs ('{cast.Method.Name}')";
        string way = NormTwin.Of(node.Module) is { } twin ? $"a {Declarations.FullName(twin.Type)} made by stab.nn.{twin.Type.Name}(…), or" : "";
        string reason = $"{where} of {owner} takes it for a {type}; write {way} a {Declarations.AnyModule} there";
        return new(node.Name, NormNames.Of(node.Module), reason.Replace("  ", " ", StringComparison.Ordinal));
    }
}
