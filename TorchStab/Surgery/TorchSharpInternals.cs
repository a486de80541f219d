using System.Reflection;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// The only class that reads or writes TorchSharp's non-public fields: hooks have no accessor, and the setters of its norms dispose the value that they
/// replace, which another module still owns here. The field names are those of TorchSharp 0.107.
/// </summary>
internal static class TorchSharpInternals
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private static readonly HostField Parameters = new(typeof(nn.Module), "_internal_params");
    private static readonly HostField Buffers = new(typeof(nn.Module), "_internal_buffers");
    private static readonly HostField Handle = new(typeof(Tensor), "handle");
    private static readonly Type Hookable = typeof(nn.Module<Tensor, Tensor>).BaseType!;
    private static readonly HostField PreHooks = new(Hookable, "pre_hooks");
    private static readonly HostField PostHooks = new(Hookable, "post_hooks");
    private static readonly HostField ModulePreHooks = new(Hookable, "module_pre_hooks");
    private static readonly HostField ModulePostHooks = new(Hookable, "module_post_hooks");

    /// <summary>The parameters and buffers of the module itself, including disposed ones (which named_parameters omits).</summary>
    public static IEnumerable<Tensor> OwnTensors(nn.Module module)
    {
        if (!Parameters.Exists) // a program compiled ahead of time: only those that are not disposed
        {
            foreach (var (_, parameter) in module.named_parameters(false)) yield return parameter;
            foreach (var (_, buffer) in module.named_buffers(false)) yield return buffer;
            yield break;
        }
        foreach (var (_, parameter) in RegisteredParameters(module)) yield return parameter;
        foreach (var (_, (buffer, _)) in RegisteredBuffers(module)) yield return buffer;
    }

    /// <summary>
    /// Makes <paramref name="to"/> use the hook tables of <paramref name="from"/>. The tables are shared, so that existing hook removers still work.
    /// </summary>
    public static void ShareHooks(nn.Module<Tensor, Tensor> from, nn.Module<Tensor, Tensor> to)
    {
        foreach (var field in (HostField[])[PreHooks, PostHooks, ModulePreHooks, ModulePostHooks]) field.SetValue(to, field.GetValue(from));
    }

    public static bool HasPreHooks(nn.Module<Tensor, Tensor> module) => Count(PreHooks, module) + Count(ModulePreHooks, module) > 0;

    public static bool HasPostHooks(nn.Module<Tensor, Tensor> module) => Count(PostHooks, module) + Count(ModulePostHooks, module) > 0;

    /// <summary>Sets a tensor of a TorchSharp module, by its state-dict name, without disposing the old one.</summary>
    public static void Adopt(nn.Module module, string name, Tensor value)
    {
        for (var type = module.GetType(); type != typeof(nn.Module); type = type.BaseType!)
            foreach (var field in type.GetFields(Declared).Where(f => f.ComponentName() == name)) field.SetValue(module, value);
        if (value is Parameter parameter) RegisteredParameters(module)[name] = parameter;
        else RegisteredBuffers(module)[name] = (value, true);
    }

    /// <summary>Exchanges the native tensors of two tensor objects: each object then has the other's values, dtype and device.</summary>
    public static void Exchange(Tensor one, Tensor other)
    {
        object? handle = Handle.GetValue(one);
        Handle.SetValue(one, Handle.GetValue(other));
        Handle.SetValue(other, handle);
    }

    private static OrderedDict<string, Parameter> RegisteredParameters(nn.Module module) => (OrderedDict<string, Parameter>)Parameters.GetValue(module)!;

    private static OrderedDict<string, (Tensor, bool)> RegisteredBuffers(nn.Module module) => (OrderedDict<string, (Tensor, bool)>)Buffers.GetValue(module)!;

    private static int Count(HostField hooks, nn.Module<Tensor, Tensor> module) => ((System.Collections.ICollection)hooks.GetValue(module)!).Count;

    /// <summary>Refuses surgery in a program without reflection, before anything is read.</summary>
    /// <exception cref="NotSupportedException">The program is compiled ahead of time.</exception>
    public static void RequireReflection(bool isDynamicCodeSupported)
    {
        if (!isDynamicCodeSupported) throw new NotSupportedException(WithoutReflection);
    }

    private const string WithoutReflection =
        "surgery on whole models finds modules by reflection over their fields, which a program compiled ahead of time, or trimmed, does not keep: swap, "
        + "freeze, restore, fold or update the model in a program that is not, and save it; or make stab.nn's norms where the model is built. "
        + "stab.nn, stab.optim, stab.nn.init, clipping, fuse_conv_bn_eval and fuse_linear_bn_eval need no reflection";

    /// <summary>A field of TorchSharp; an error if the field does not exist is raised at its first use.</summary>
    private sealed class HostField(Type type, string name)
    {
        private readonly FieldInfo? _field = type.GetField(name, Declared);

        public bool Exists => _field is not null;

        public object? GetValue(object of) => Found.GetValue(of);

        public void SetValue(object of, object? value) => Found.SetValue(of, value);

        private FieldInfo Found => _field ?? throw new NotSupportedException(type.Assembly.GetName().Version is { Major: 0, Minor: 107 } ? WithoutReflection
            : $"TorchSharp {type.Assembly.GetName().Version} has no field {type.Name}.{name}: TorchStab's surgery knows 0.107");
    }
}
