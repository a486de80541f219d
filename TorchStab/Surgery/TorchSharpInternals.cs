using System.Reflection;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// The only place that reads or writes TorchSharp's non-public fields: hooks have no accessor, and the setters of its norms dispose the
/// value they replace, which another module still owns here. Field names are those of TorchSharp 0.107.
/// </summary>
internal static class TorchSharpInternals
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private static readonly FieldInfo Parameters = Field(typeof(nn.Module), "_internal_params");
    private static readonly FieldInfo Buffers = Field(typeof(nn.Module), "_internal_buffers");
    private static readonly Type Hookable = typeof(nn.Module<Tensor, Tensor>).BaseType!;
    private static readonly FieldInfo PreHooks = Field(Hookable, "pre_hooks");
    private static readonly FieldInfo PostHooks = Field(Hookable, "post_hooks");
    private static readonly FieldInfo ModulePreHooks = Field(Hookable, "module_pre_hooks");
    private static readonly FieldInfo ModulePostHooks = Field(Hookable, "module_post_hooks");

    /// <summary>Parameters and buffers registered on the module itself, disposed ones included (named_parameters leaves those out).</summary>
    public static IEnumerable<Tensor> OwnTensors(nn.Module module)
    {
        foreach (var (_, parameter) in RegisteredParameters(module)) yield return parameter;
        foreach (var (_, (buffer, _)) in RegisteredBuffers(module)) yield return buffer;
    }

    /// <summary>
    /// Lets <paramref name="to"/> use the hook tables of <paramref name="from"/>: the same tables, so that the removers handed out work on.
    /// </summary>
    public static void ShareHooks(nn.Module<Tensor, Tensor> from, nn.Module<Tensor, Tensor> to)
    {
        foreach (var field in (FieldInfo[])[PreHooks, PostHooks, ModulePreHooks, ModulePostHooks]) field.SetValue(to, field.GetValue(from));
    }

    public static bool HasPreHooks(nn.Module<Tensor, Tensor> module) => Count(PreHooks, module) + Count(ModulePreHooks, module) > 0;

    public static bool HasPostHooks(nn.Module<Tensor, Tensor> module) => Count(PostHooks, module) + Count(ModulePostHooks, module) > 0;

    /// <summary>Puts a tensor under its state-dict name into a module of TorchSharp, without disposing the one that was there.</summary>
    public static void Adopt(nn.Module module, string name, Tensor value)
    {
        for (var type = module.GetType(); type != typeof(nn.Module); type = type.BaseType!)
            foreach (var field in type.GetFields(Declared).Where(f => f.ComponentName() == name)) field.SetValue(module, value);
        if (value is Parameter parameter) RegisteredParameters(module)[name] = parameter;
        else RegisteredBuffers(module)[name] = (value, true);
    }

    private static OrderedDict<string, Parameter> RegisteredParameters(nn.Module module) => (OrderedDict<string, Parameter>)Parameters.GetValue(module)!;

    private static OrderedDict<string, (Tensor, bool)> RegisteredBuffers(nn.Module module) => (OrderedDict<string, (Tensor, bool)>)Buffers.GetValue(module)!;

    private static int Count(FieldInfo hooks, nn.Module<Tensor, Tensor> module) => ((System.Collections.ICollection)hooks.GetValue(module)!).Count;

    private static FieldInfo Field(Type type, string name) => type.GetField(name, Declared)
        ?? throw new NotSupportedException($"TorchSharp {type.Assembly.GetName().Version} has no field {type.Name}.{name}: TorchStab's surgery knows 0.107");
}
