using System.Reflection;
using TorchSharp;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Architecture;

/// <summary>TorchSharp lets go of a number before libtorch has read it: what writes, and what is read from a tensor, does not depend on luck.</summary>
public class ScalarTests
{
    private static readonly (MethodBase From, MethodBase[] To)[] Library = [.. CompiledCalls.In(typeof(stab).Assembly)];

    [Fact]
    public void Operations_in_place_take_their_numbers_from_Scalars()
    {
        // add_(x) calls add_(x, 1) inside TorchSharp, and that number is lost too.
        var loses = CompiledCalls.In(typeof(Tensor).Assembly).Where(call => IsInPlace(call.From) && call.To.Any(MakesNumber)).Select(call => call.From)
            .ToHashSet();
        Assert.NotEmpty(loses);
        var writers = Library.Where(call => call.To.Any(IsInPlace)).ToList();
        Assert.NotEmpty(writers);
        Assert.Empty(writers.Where(call => call.To.Any(loses.Contains) || (call.To.Any(MakesNumber) && call.To.Any(TakesNumber)))
            .Select(call => Name(call.From)));
    }

    [Fact]
    public void A_number_is_read_from_a_tensor_while_it_is_held() =>
        Assert.Empty(Library.Where(call => call.To.Any(to => to.Name is "op_Explicit" or "ToSingle" or "ToDouble" or "ToInt64" or "ToInt32" or "ToBoolean"
            && to.GetParameters() is [{ } only] && only.ParameterType == typeof(Tensor))).Select(call => Name(call.From)));

    [Fact]
    public void A_held_number_outlives_a_collection()
    {
        var number = Made();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.True(number.IsAlive);

        // Not inlined, so that no register of the test keeps it.
        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static WeakReference Made() => new(Scalars.Held(0.5));
    }

    private static bool IsInPlace(MethodBase method) => method.DeclaringType == typeof(Tensor) && method.Name.EndsWith('_');

    private static bool TakesNumber(MethodBase method) => IsInPlace(method) && Array.Exists(method.GetParameters(), p => p.ParameterType == typeof(Scalar));

    private static bool MakesNumber(MethodBase method) => method is MethodInfo { Name: "op_Implicit" or "ToScalar" } made && made.ReturnType == typeof(Scalar);

    private static string Name(MethodBase method) => $"{method.DeclaringType}.{method.Name}";
}
