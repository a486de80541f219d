using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The implementation of <see cref="IAutogradPlug"/> that records ops.</summary>
internal enum AutogradKind
{
    /// <summary>Pooled nodes through LibTorchSharp's exports: no managed allocation and no second copy of an activation.</summary>
    Pooled,

    /// <summary>TorchSharp's public <c>Function&lt;T&gt;</c>: slower, and each call allocates managed objects, but it is a supported API.</summary>
    Function,
}

/// <summary>
/// Chooses the plug once: pooled nodes if their exports exist and the version of TorchSharp is known, otherwise <c>Function&lt;T&gt;</c>. The setting
/// <c>TorchStab.Autograd</c> = pooled | function selects one (see <see cref="Setting"/>).
/// </summary>
internal static class AutogradPlug
{
    private static readonly PooledPlug Pooled = new();
    private static readonly FunctionPlug Function = new();
    private static AutogradKind s_kind = Choose(Setting.Read("Autograd", AutogradKind.Pooled));

    /// <summary>Settable so that tests run both in one process. <c>Pooled</c> becomes <c>Function</c> if its exports are missing.</summary>
    public static AutogradKind Kind
    {
        get => s_kind;
        set => s_kind = Choose(value);
    }

    /// <summary>Begins a call of an op, and reads once which inputs require a gradient. Dispose the state at the end of the call.</summary>
    public static NodeState Begin(GraphOp op, Tensor input, Tensor? weight, Tensor? bias)
    {
        // Read before a state is rented, because a disposed tensor throws here.
        var wanted = (input.requires_grad, weight is { requires_grad: true }, bias is { requires_grad: true });
        var state = s_kind == AutogradKind.Pooled ? Pooled.Rent() : Function.Rent();
        state.Begin(op, input, weight, bias, wanted);
        return state;
    }

    private static AutogradKind Choose(AutogradKind wanted) => AutogradLibrary.IsAvailable ? wanted : AutogradKind.Function;
}
