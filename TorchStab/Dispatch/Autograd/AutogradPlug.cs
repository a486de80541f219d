using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Which plug records ops.</summary>
internal enum AutogradKind
{
    /// <summary>Pooled nodes over LibTorchSharp's exports: no garbage, no second activation.</summary>
    Pooled,

    /// <summary>TorchSharp's public <c>Function&lt;T&gt;</c>: slower, with some garbage for each call, but promised to stay.</summary>
    Function,
}

/// <summary>
/// Chooses the plug once: pooled nodes where their exports and a known version of TorchSharp are found, else <c>Function&lt;T&gt;</c>.
/// Setting <c>TorchStab.Autograd</c> = pooled | function forces either (see <see cref="Setting"/>).
/// </summary>
internal static class AutogradPlug
{
    private static readonly PooledPlug Pooled = new();
    private static readonly FunctionPlug Function = new();
    private static AutogradKind s_kind = Choose(Setting.Read("Autograd", AutogradKind.Pooled));

    /// <summary>Settable so that tests run both in one process; <c>Pooled</c> is refused where its exports are missing.</summary>
    public static AutogradKind Kind
    {
        get => s_kind;
        set => s_kind = Choose(value);
    }

    /// <summary>Begins a call of an op: asks once whether a gradient is wanted. Dispose the state at the end of the call.</summary>
    public static NodeState Begin(NormOp op, Tensor input, Tensor? weight, Tensor? bias)
    {
        // Before a state is rented: a disposed tensor refuses.
        var wanted = (input.requires_grad, weight is { requires_grad: true }, bias is { requires_grad: true });
        var state = s_kind == AutogradKind.Pooled ? Pooled.Rent() : Function.Rent();
        state.Begin(op, input, weight, bias, wanted);
        return state;
    }

    private static AutogradKind Choose(AutogradKind wanted) => AutogradLibrary.IsAvailable ? wanted : AutogradKind.Function;
}
