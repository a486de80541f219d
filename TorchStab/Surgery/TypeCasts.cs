using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A place in a class's code that takes a module for one of a type.</summary>
/// <param name="Type">The type it must have.</param>
/// <param name="Method">The method with the cast, or the type test.</param>
/// <param name="Property">The property whose getter that is, else null.</param>
/// <param name="Field">The field that the module comes from, where the code reads one; else null.</param>
internal sealed record TypeCast(Type Type, MethodBase Method, PropertyInfo? Property, FieldInfo? Field)
{
    /// <summary>The class in whose source the method stands.</summary>
    public Type Class
    {
        get
        {
            var type = Method.DeclaringType!;
            while (type.IsDefined(typeof(CompilerGeneratedAttribute), false) && type.DeclaringType is { } outer) type = outer;
            return type;
        }
    }
}

/// <summary>
/// Finds where the code of a user's module casts modules to a type, or asks for it: in the getters of its properties, and in what forward runs. Such
/// code compiles, and fails or does something else when a module of another type stands there.
/// </summary>
internal static class TypeCasts
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const int MostMethods = 5000;
    private static readonly ConditionalWeakTable<Type, IReadOnlyList<TypeCast>> Cache = [];

    public static IReadOnlyList<TypeCast> Of(Type module) => Cache.GetValue(module, static t => [.. Find(t)]);

    private static IEnumerable<TypeCast> Find(Type module)
    {
        var getters = new Dictionary<MethodBase, PropertyInfo>();
        var open = new Queue<MethodBase>();
        for (var type = module; type is not null && ObjectGraph.IsUserCode(type); type = type.BaseType)
        {
            foreach (var property in type.GetProperties(Declared))
                if (property.GetMethod is { } getter && property.GetIndexParameters().Length == 0 && typeof(nn.Module).IsAssignableFrom(property.PropertyType)) getters[getter] = property;
            foreach (var method in type.GetMethods(Declared).Where(m => m.Name is "forward" or "call")) open.Enqueue(method);
        }
        foreach (var getter in getters.Keys) open.Enqueue(getter);
        var seen = new HashSet<MethodBase>();
        while (seen.Count < MostMethods && open.TryDequeue(out var method))
        {
            if (!seen.Add(method)) continue;
            foreach (var (code, named, before) in MethodCode.Of(method))
            {
                foreach (var type in Expected(code, named)) yield return new(type, method, getters.GetValueOrDefault(method), before as FieldInfo);
                foreach (var next in Followed(code, named, module)) open.Enqueue(next);
            }
        }
    }

    /// <summary>castclass and isinst name the type; OfType, Cast and the like have it as an argument.</summary>
    private static IEnumerable<Type> Expected(OpCode code, MemberInfo named)
    {
        IEnumerable<Type> types = named switch
        {
            Type type when code == OpCodes.Castclass || code == OpCodes.Isinst => [type],
            MethodInfo { IsGenericMethod: true } method => method.GetGenericArguments(),
            _ => [],
        };
        return types.Where(typeof(nn.Module).IsAssignableFrom);
    }

    /// <summary>What a method runs of the user's own code: methods as the module has them, lambdas, and the bodies of iterators.</summary>
    private static IEnumerable<MethodBase> Followed(OpCode code, MemberInfo named, Type module)
    {
        if (named is not MethodBase method || method.DeclaringType is not { } type || !ObjectGraph.IsUserCode(type)) return [];
        if (code == OpCodes.Newobj && type.IsDefined(typeof(CompilerGeneratedAttribute), false)) return type.GetMethods(Declared).Where(m => m.Name.EndsWith("MoveNext", StringComparison.Ordinal));
        if (!method.IsVirtual || method is not MethodInfo { IsGenericMethod: false } open || !type.IsAssignableFrom(module)) return [method];
        return [module.GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).FirstOrDefault(m => m.GetBaseDefinition() == open.GetBaseDefinition()) ?? open];
    }
}
