using System.Reflection;
using TorchSharp;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.AnyCalls;

namespace TorchStab.Tests;

/// <summary>
/// Every function of the façade, found by reflection, with any arguments: a result, or a documented ArgumentException or
/// InvalidOperationException, or libtorch's own words (a number beyond a dtype); never another exception, never an abort, and never a changed
/// argument behind an error.
/// </summary>
public class PublicSurfaceProperties
{
    private static readonly string[] Statistics = ["running_mean", "running_var"];

    private static readonly MethodInfo[] Functional = Public(typeof(stab.nn.functional));
    private static readonly MethodInfo[] Init = Public(typeof(stab.nn.init));
    private static readonly MethodInfo[] Utils = Public(typeof(stab.nn.utils));
    private static readonly MethodInfo[] Modules = [.. Public(typeof(stab.nn)).Where(m => typeof(nn.Module).IsAssignableFrom(m.ReturnType))];

    private static readonly MethodBase[] Optimizers =
        [.. Public(typeof(stab.optim)).Where(m => m is not MethodInfo { ReturnType: var type } || type.IsAssignableTo(typeof(optim.Optimizer))),
            .. Constructors(typeof(Adam), typeof(AdamW), typeof(SGD), typeof(RMSprop), typeof(ClippedOptimizer))];
    private static readonly MethodInfo[] Rules = [.. Public(typeof(GradientClip)), .. Public(typeof(NonFinitePolicy))];
    private static readonly ConstructorInfo[] Groups =
        Constructors(typeof(Adam.ParamGroup), typeof(AdamW.ParamGroup), typeof(SGD.ParamGroup), typeof(RMSprop.ParamGroup));

    [SeededProperty(MaxTest = 150)]
    public void Functional_norms(int seed) => ForEach(Functional, seed, (method, arguments, call) =>
    {
        var output = (Tensor?)Try(call);
        arguments.AssertUnchanged(method.Name, output is null ? [] : Statistics);
        if (output is { requires_grad: true, device_type: DeviceType.CPU }) output.backward([rand_like(output.detach())]);
    }, anyDevice: true);

    [SeededProperty(MaxTest = 100)]
    public void Initializers(int seed) => ForEach(Init, seed, (method, arguments, call) =>
    {
        object? result = Try(call);
        arguments.AssertUnchanged(method.Name, result is Tensor ? ["tensor"] : []);
    }, anyDevice: true);

    [SeededProperty(MaxTest = 100)]
    public void Clipping_and_surgery(int seed) => ForEach(Utils, seed, (method, arguments, call) =>
    {
        bool returned = Returns(call, out _);
        arguments.AssertUnchanged(method.Name, returned ? ["gradient 0", "gradient 1", "gradient 2"] : []);
    });

    [SeededProperty(MaxTest = 100)]
    public void Optimizers_and_their_steps(int seed) => ForEach(Optimizers, seed, (method, arguments, call) =>
    {
        using var optimizer = (optim.Optimizer?)Try(call);
        arguments.AssertUnchanged(method.Name);
        if (optimizer is null) return;
        for (int i = 0; i < 2; i++) Returns(() => optimizer.step());
        if (optimizer is not ClippingAwareOptimizer own) return;
        int groups = own.ParamGroups.Count();
        var group = (TorchSharp.Modules.ParamGroup?)arguments.Group(own.GetType().GetNestedType("ParamGroup")!);
        bool added = Returns(() => own.add_param_group(group!));
        Assert.Equal(added ? groups + 1 : groups, own.ParamGroups.Count());
        Returns(() => own.step());
    });

    [SeededProperty(MaxTest = 100)]
    public void Rules_and_policies(int seed) => ForEach(Rules, seed, (_, arguments, call) =>
    {
        if (Try(call) is not GradientClip rule) return;
        var parameters = arguments.Parameters();
        bool returned = Returns(() => rule.Apply(parameters));
        if (!returned) arguments.AssertUnchanged($"{rule}");
    });

    [SeededProperty(MaxTest = 60)]
    public void Groups_of_parameters(int seed) => ForEach(Groups, seed, (constructor, arguments, call) =>
    {
        Try(call);
        arguments.AssertUnchanged($"{constructor.DeclaringType}");
    });

    [SeededProperty(MaxTest = 60)]
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

    private static ConstructorInfo[] Constructors(params Type[] types) => [.. types.SelectMany(t => t.GetConstructors())];

    private static MethodInfo[] Public(Type type) =>
        [.. type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly).Select(m => m.IsGenericMethodDefinition ? Close(m) : m)];

    private static MethodInfo Close(MethodInfo method) => method.MakeGenericMethod(method.Name switch
    {
        "fuse_conv_bn_eval" => typeof(TorchSharp.Modules.Conv2d),
        "fuse_norms" => typeof(TorchSharp.Modules.Sequential),
        _ => typeof(Tensor),
    });
}
