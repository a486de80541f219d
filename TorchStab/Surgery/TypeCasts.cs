using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A cast or type test of a module in a class's code.</summary>
/// <param name="Type">The type that the code expects.</param>
/// <param name="Method">The method with the cast or type test.</param>
/// <param name="Property">The property, if the method is its getter; else null.</param>
/// <param name="Field">The field that the code reads the module from; null if it does not read one directly.</param>
internal sealed record TypeCast(Type Type, MethodBase Method, PropertyInfo? Property, FieldInfo? Field)
{
    /// <summary>The class whose source contains the method.</summary>
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
/// Finds casts and type tests of modules in the code of a user's module: in the getters of its properties, and in the methods that forward runs. Such code
/// compiles, but fails or does something else with a module of another type.
/// </summary>
internal static class TypeCasts
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const int MostMethods = 5000;
    private static readonly ConditionalWeakTable<Type, IReadOnlyList<TypeCast>> Cache = [];

    public static IReadOnlyList<TypeCast> Of(Type module) => Cache.GetValue(module, static t => [.. Find(t)]);

    private static IEnumerable<TypeCast> Find(Type module)
    {
        var getters = new Dictionary<MethodBase, PropertyInfo>();
        var pending = new Queue<MethodBase>();
        for (var type = module; type is not null && ObjectGraph.IsUserCode(type); type = type.BaseType)
        {
            foreach (var property in type.GetProperties(Declared))
                if (property.GetMethod is { } getter && property.GetIndexParameters().Length == 0 && typeof(nn.Module).IsAssignableFrom(property.PropertyType))
                    getters[getter] = property;
            foreach (var method in type.GetMethods(Declared).Where(m => m.Name is "forward" or "call")) pending.Enqueue(method);
        }
        foreach (var getter in getters.Keys) pending.Enqueue(getter);
        var seen = new HashSet<MethodBase>();
        while (seen.Count < MostMethods && pending.TryDequeue(out var method))
        {
            if (!seen.Add(method)) continue;
            foreach (var (code, named, before) in MethodCode.Of(method))
            {
                // A generic method may search what a field contains (OfType on a list); only an instruction tests the field's own value.
                var field = named is Type && code != OpCodes.Ldtoken ? before as FieldInfo : null;
                foreach (var type in Expected(code, named)) yield return new(type, method, getters.GetValueOrDefault(method), field);
                foreach (var next in Followed(code, named, module)) pending.Enqueue(next);
            }
        }
    }

    /// <summary>
    /// The module types that an instruction expects: castclass, isinst and ldtoken (typeof, which code compares with GetType()) name the type; OfType, Cast
    /// and others have it as a type argument.
    /// </summary>
    private static IEnumerable<Type> Expected(OpCode code, MemberInfo named)
    {
        IEnumerable<Type> types = named switch
        {
            Type type when code == OpCodes.Castclass || code == OpCodes.Isinst || code == OpCodes.Ldtoken => [type],
            MethodInfo { IsGenericMethod: true } method => method.GetGenericArguments(),
            _ => [],
        };
        return types.Where(typeof(nn.Module).IsAssignableFrom);
    }

    /// <summary>
    /// The user's methods that an instruction runs: methods as the module overrides them, lambdas, and the bodies of iterators and of async methods (the
    /// compiler makes a class of such a body, and hands an async one to a method of the framework as a type argument).
    /// </summary>
    private static IEnumerable<MethodBase> Followed(OpCode code, MemberInfo named, Type module)
    {
        if (named is MethodInfo { IsGenericMethod: true } generic && !ObjectGraph.IsUserCode(generic.DeclaringType!))
            return generic.GetGenericArguments().Where(IsGenerated).SelectMany(Bodies);
        if (named is not MethodBase method || method.DeclaringType is not { } type || !ObjectGraph.IsUserCode(type)) return [];
        if (code == OpCodes.Newobj && IsGenerated(type)) return Bodies(type);
        if (!method.IsVirtual || method is not MethodInfo { IsGenericMethod: false } called || !type.IsAssignableFrom(module)) return [method];
        var methods = module.GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        return [methods.FirstOrDefault(m => m.GetBaseDefinition() == called.GetBaseDefinition()) ?? called];
    }

    private static bool IsGenerated(Type type) => type.IsDefined(typeof(CompilerGeneratedAttribute), false);

    private static IEnumerable<MethodBase> Bodies(Type machine) =>
        machine.GetMethods(Declared).Where(m => m.Name.EndsWith("MoveNext", StringComparison.Ordinal));
}
