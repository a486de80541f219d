using System.Reflection;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Refuses an exchange after which the model's own code would fail: code that takes the module for one of its type.</summary>
internal static class CastObstacle
{
    /// <summary>The first such place; null if there is none.</summary>
    public static ModuleRefusal? Of(SurgeryNode node, Type replacement, SurgeryPlan plan)
    {
        nn.Module? holder = null;
        for (var parent = node.Parent; parent is not null; parent = plan.Nodes.First(n => n.Module == parent).Parent)
        {
            if (!ObjectGraph.IsUserCode(parent.GetType())) continue; // a container
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
        // Which module comes here is not to be seen: any that a module of this class holds may. Code that knows the new type too is written for both.
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
            return null; // it gives nothing, this module neither
        }
    }

    private static ModuleRefusal Refusal(SurgeryNode node, TypeCast cast, nn.Module parent)
    {
        string type = Declarations.ShortName(cast.Type), where = cast.Property is { } p ? $"property '{p.Name}'" : $"the code that forward runs ('{cast.Method.Name}')";
        string way = NormTwin.Of(node.Module) is { } twin ? $"a {Declarations.FullName(twin.Type)} made by stab.nn.{twin.Type.Name}(…), or" : "";
        return new(node.Path, NormNames.Of(node.Module), $"{where} of {Declarations.ShortName(parent.GetType())} takes it for a {type}; write {way} a {Declarations.AnyModule} there".Replace("  ", " ", StringComparison.Ordinal));
    }
}
