using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Finds out whether the code of a class uses members of a norm that a Module&lt;Tensor, Tensor&gt; does not have.</summary>
internal static class UsedMembers
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    public static bool AnyOf(Type norm, params Type[] users) => users.SelectMany(Family).Distinct().Where(ObjectGraph.IsUserCode)
        .SelectMany(t => t.GetMethods(Declared).Cast<MethodBase>().Concat(t.GetConstructors(Declared))).SelectMany(MethodCode.Of)
        .Any(i => i.named is MethodBase { IsConstructor: false, Name: not ("forward" or "call" or "Dispose"), DeclaringType: { } type }
            && type.Namespace == "TorchSharp.Modules" && typeof(nn.Module).IsAssignableFrom(type) && type.IsAssignableFrom(norm));

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
