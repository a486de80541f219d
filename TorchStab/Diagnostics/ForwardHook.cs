using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// Registers hooks on modules of any signature; TorchSharp's hooks are typed by the module's arguments and result. The value that a hook returns
/// replaces the output, so each hook returns the output that it received.
/// </summary>
internal static class ForwardHook
{
    /// <summary>
    /// Runs <paramref name="entered"/> before a module's <c>call</c>, and <paramref name="left"/> with the output after it. Returns an action that removes
    /// the hooks; null if the module has no hooks, or more than three arguments.
    /// </summary>
    public static Action? Watch(nn.Module module, Action? entered, Action<Tensor>? left)
    {
        if (module is nn.Module<Tensor, Tensor> usual) return Watch1(usual, entered, left);
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            if (!type.IsGenericType || type.DeclaringType != typeof(nn) || !type.Name.StartsWith("Module`", StringComparison.Ordinal)) continue;
            var arguments = type.GetGenericArguments();
            var watch = typeof(ForwardHook).GetMethod($"Watch{arguments.Length - 1}", BindingFlags.NonPublic | BindingFlags.Static);
            return (Action?)watch?.MakeGenericMethod(arguments).Invoke(null, [module, entered, left]);
        }
        return null;
    }

    private static Action Watch1<T, TResult>(nn.Module<T, TResult> module, Action? entered, Action<Tensor>? left) => Both(
        entered is null ? null : module.register_forward_pre_hook((nn.Module _) => entered()).remove,
        left is null ? null : module.register_forward_hook((_, _, output) => Show(output, left)).remove);

    private static Action Watch2<T1, T2, TResult>(nn.Module<T1, T2, TResult> module, Action? entered, Action<Tensor>? left) => Both(
        entered is null ? null : module.register_forward_pre_hook((nn.Module _) => entered()).remove,
        left is null ? null : module.register_forward_hook((_, _, _, output) => Show(output, left)).remove);

    private static Action Watch3<T1, T2, T3, TResult>(nn.Module<T1, T2, T3, TResult> module, Action? entered, Action<Tensor>? left) => Both(
        entered is null ? null : module.register_forward_pre_hook((nn.Module _) => entered()).remove,
        left is null ? null : module.register_forward_hook((_, _, _, _, output) => Show(output, left)).remove);

    private static Action Both(Action? first, Action? second) => first + second ?? (() => { });

    private static TResult Show<TResult>(TResult output, Action<Tensor> left)
    {
        if (output is Tensor tensor) left(tensor);
        else if (output is ITuple { Length: > 0 } tuple && tuple[0] is Tensor first) left(first); // a recurrent module returns its output and its states
        return output;
    }
}
