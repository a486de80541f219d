using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Xunit;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests;

/// <summary>
/// Every function of the façade, found by reflection, with any arguments: a result, or an ArgumentException or InvalidOperationException, or
/// libtorch's own words (a number beyond a dtype); never another exception, never an abort, and never a changed argument behind an error.
/// </summary>
public class PublicSurfaceProperties
{
    private static readonly string[] Statistics = ["running_mean", "running_var"];

    private static readonly MethodInfo[] Functional = Public(typeof(stab.nn.functional));
    private static readonly MethodInfo[] Init = Public(typeof(stab.nn.init));
    private static readonly MethodInfo[] Utils = Public(typeof(stab.nn.utils));
    private static readonly MethodInfo[] Modules = [.. Public(typeof(stab.nn)).Where(m => typeof(nn.Module).IsAssignableFrom(m.ReturnType))];

    // Groups have their own tests; what remains takes parameters.
    private static readonly MethodInfo[] Optimizers = [.. Public(typeof(stab.optim)).Where(m =>
        !m.GetParameters()[0].ParameterType.ToString().Contains("ParamGroup", StringComparison.Ordinal))];

    [Property(MaxTest = 150)]
    public void Functional_norms(int seed) => ForEach(Functional, seed, (method, arguments, call) =>
    {
        var output = (Tensor?)Try(call);
        arguments.AssertUnchanged(method.Name, output is null ? [] : Statistics);
        if (output is { requires_grad: true }) output.backward([rand_like(output.detach())]);
    });

    [Property(MaxTest = 100)]
    public void Initializers(int seed) => ForEach(Init, seed, (method, arguments, call) =>
    {
        object? result = Try(call);
        arguments.AssertUnchanged(method.Name, result is Tensor ? ["tensor"] : []);
    });

    [Property(MaxTest = 100)]
    public void Clipping_and_surgery(int seed) => ForEach(Utils, seed, (method, arguments, call) =>
    {
        bool returned = Returns(call, out _);
        arguments.AssertUnchanged(method.Name, returned ? ["gradient 0", "gradient 1", "gradient 2"] : []);
    });

    [Property(MaxTest = 100)]
    public void Optimizers_and_their_steps(int seed) => ForEach(Optimizers, seed, (method, arguments, call) =>
    {
        if (Try(call) is not optim.Optimizer optimizer) return;
        arguments.AssertUnchanged(method.Name);
        for (int i = 0; i < 2; i++) Returns(() => optimizer.step(), out _);
        optimizer.Dispose();
    });

    [Property(MaxTest = 60)]
    public void Modules_and_their_forwards(int seed) => ForEach(Modules, seed, (method, arguments, call) =>
    {
        if (Try(call) is not nn.Module module) return;
        for (int i = 0; i < 3; i++)
        {
            module.train(i != 1);
            var before = module.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
            var input = arguments.Tensor("input");
            bool returned = Returns(() => Forward(module, input), out object? output);
            arguments.AssertUnchanged(method.Name);
            if (!returned) Assert.All(module.state_dict(), e => Compare.Identical(before[e.Key], e.Value, $"{method.Name}'s {e.Key}"));
            if (output is Tensor { requires_grad: true } t) t.backward([rand_like(t.detach())]);
        }
        module.Dispose();
    });

    private static object Forward(nn.Module module, Tensor input) => module switch
    {
        nn.Module<Tensor, Tensor> norm => norm.call(input),
        nn.Module<Tensor, Tensor?, Tensor> cell => cell.call(input, null),
        nn.Module<Tensor, Tensor?, (Tensor, Tensor)> gru => gru.call(input, null),
        nn.Module<Tensor, (Tensor, Tensor)?, (Tensor, Tensor)> cell => cell.call(input, null),
        nn.Module<Tensor, (Tensor, Tensor)?, (Tensor, Tensor, Tensor)> lstm => lstm.call(input, null),
        _ => throw new FormatException($"no call of {module.GetType()}"),
    };

    private static void ForEach(MethodInfo[] methods, int seed, Action<MethodInfo, AnyArguments, Func<object?>> body)
    {
        Assert.NotEmpty(methods);
        var failures = new List<string>();
        foreach (var (i, method) in methods.Index())
        {
            using var scope = NewDisposeScope();
            var arguments = new AnyArguments(new Random(unchecked(seed * 31 + i)));
            manual_seed(seed);
            object?[] values = [.. method.GetParameters().Select(arguments.Draw)];
            try
            {
                body(method, arguments, () => method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, values, null));
            }
            catch (Exception e)
            {
                failures.Add($"{method}: {e.Message}");
            }
        }
        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    private static object? Try(Func<object?> call) => Returns(call, out object? result) ? result : null;

    private static bool Returns(Func<object?> call, out object? result)
    {
        result = null;
        try
        {
            result = call();
            return true;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or ExternalException)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.Message));
            AssertSaidAlikeElsewhere(call, e);
            return false;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{e.GetType().Name}: {e.Message}\n{e.StackTrace}");
        }
    }

    // A refusal changed nothing, so it comes again: in the same words under a culture that writes numbers otherwise.
    private static void AssertSaidAlikeElsewhere(Func<object?> call, Exception refusal)
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(refusal.Message.Length % 2 == 0 ? "tr-TR" : "ar-SA");
        try
        {
            Assert.Equal(refusal.Message, Assert.ThrowsAny<Exception>(() => call()).Message);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static MethodInfo[] Public(Type type) =>
        [.. type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly).Select(m => m.IsGenericMethodDefinition ? Close(m) : m)];

    private static MethodInfo Close(MethodInfo method) => method.MakeGenericMethod(method.Name switch
    {
        "fuse_conv_bn_eval" => typeof(Conv2d),
        "fuse_norms" => typeof(Sequential),
        _ => typeof(Tensor),
    });
}
