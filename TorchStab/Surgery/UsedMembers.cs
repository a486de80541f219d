using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Finds out whether the code of a class uses members of a norm that a Module&lt;Tensor, Tensor&gt; does not have, and whether it has variables of its type.
/// </summary>
internal static class UsedMembers
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    public static bool AnyOf(Type norm, params Type[] users) => Methods(users).SelectMany(MethodCode.Of)
        .Any(i => i.named is MethodBase { IsConstructor: false, Name: not ("forward" or "call" or "Dispose"), DeclaringType: { } type }
            && type.Namespace == "TorchSharp.Modules" && typeof(nn.Module).IsAssignableFrom(type) && type.IsAssignableFrom(norm));

    /// <summary>
    /// Whether the code has a local variable or a parameter of the norm's type, besides the parameter that <paramref name="declaration"/> is. The compiled code
    /// does not show which variables are declared with var, and an optimized build may have lost some.
    /// </summary>
    public static bool Declares(Type norm, FieldInfo declaration, params Type[] users) => Methods(users).Where(m => !IsGenerated(m)).Any(m =>
        (!IsSetter(m) && m.GetParameters().Any(p => p.ParameterType == norm && p.Name != Declarations.SourceName(declaration)))
        || MethodCode.Variables(m).Contains(norm));

    private static IEnumerable<MethodBase> Methods(Type[] users) => users.SelectMany(Family).Distinct().Where(ObjectGraph.IsUserCode)
        .SelectMany(t => t.GetMethods(Declared).Cast<MethodBase>().Concat(t.GetConstructors(Declared)));

    private static bool IsSetter(MethodBase method) => method.Name.StartsWith("set_", StringComparison.Ordinal); // has value without declaring it

    private static bool IsGenerated(MethodBase method) =>
        method.IsDefined(typeof(CompilerGeneratedAttribute), false) || method.DeclaringType!.IsDefined(typeof(CompilerGeneratedAttribute), false);

    /// <summary>A class, its base classes, and its nested classes, which contain lambdas and iterators.</summary>
    private static IEnumerable<Type> Family(Type type)
    {
        for (var t = type; t is not null && ObjectGraph.IsUserCode(t); t = t.BaseType)
        {
            var outer = t;
            while (outer.IsDefined(typeof(CompilerGeneratedAttribute), false) && outer.DeclaringType is { } declaring) outer = declaring;
            yield return outer;
            foreach (var nested in outer.GetNestedTypes(BindingFlags.Public | BindingFlags.NonPublic)) yield return nested;
        }
    }
}
