using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Records ops with TorchSharp's public custom function. The output is computed before the function is applied, and the function's forward pass only returns
/// it. This class disposes the wrappers that TorchSharp would leave to the finalizer, among them the tensor that TorchSharp keeps for each output to replace
/// undefined gradients: these nodes do not use it.
/// </summary>
/// <remarks>
/// TorchSharp sets two limits, which <see cref="PooledPlug"/> does not have. It releases saved tensors inside the node's callback, so releasing a chain of
/// about ten thousand norms needs a stack of 8 MB. Its callbacks take locks, where <see cref="Thread.Interrupt"/> raises an exception if several threads
/// wait.
/// </remarks>
internal sealed class FunctionPlug : IAutogradPlug
{
    public NodeState Rent() => new(this, null);

    // The garbage collector frees the state and its statistics.
    public void Return(NodeState state) => state.Kept.Release();

    public Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output)
    {
        using var scope = NewDisposeScope();
        var raw = Tensor.UnsafeCreateTensor(output);
        var recorded = NormFunction.apply(Savable(input)!, Savable(weight)!, Savable(bias)!, new Call(state, raw)).MoveToOuterDisposeScope();
        state.IsAttached = true;
        return recorded;
    }

    // Autograd refuses to save a tensor made in inference mode. If it requires no gradient, a copy is saved. The refusal must not happen inside TorchSharp,
    // because TorchSharp then leaks the node.
    private static Tensor? Savable(Tensor? tensor)
    {
        if (tensor is null || tensor.requires_grad) return tensor;
        return AutogradLibrary.IsInference(tensor) ? tensor.clone() : tensor;
    }

    /// <summary>What a call passes to the forward pass. It is not a tensor, so autograd does not treat it as an input.</summary>
    internal sealed record Call(NodeState State, Tensor Output);
}

/// <summary>The custom function of every op.</summary>
internal sealed class NormFunction : autograd.SingleTensorFunction<NormFunction>
{
    private const string StateKey = "state";

    [ThreadStatic]
    private static List<Tensor>? t_returned;

    public override string Name => "TorchStab";

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (state, output) = (FunctionPlug.Call)vars[3];
        ctx.set_materialize_grads(false);
        ctx.save_data(StateKey, state);
        ctx.save_for_backward([state.Op.NeedsInput ? (Tensor)vars[0] : null!, (Tensor)vars[1], state.Op.NeedsBias ? (Tensor)vars[2] : null!]);
        return output;
    }

    // Called by libtorch's engine: no exception may leave this method. To report a failure it returns a gradient without dimensions, which is invalid for an
    // input with dimensions. The engine then raises a C++ exception, which TorchSharp rethrows to the caller of backward().
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var state = (NodeState)ctx.get_data(StateKey);
        Handles gradients = default;
        try
        {
            ReleaseReturned();
            if (!grad_output.IsInvalid) Differentiate(ctx, state, grad_output, ref gradients);
            return Keep([Wrap(gradients.Input), Wrap(gradients.Weight), Wrap(gradients.Bias), null!]);
        }
        catch (Exception e)
        {
            gradients.Dispose();
            BackwardFailure.Note(state.Op, e);
            return Keep([Refused(true), Refused(state.HasWeight), Refused(state.HasBias), null!]);
        }
        finally
        {
            grad_output.Dispose();
        }
    }

    private static void Differentiate(autograd.AutogradContext ctx, NodeState state, Tensor gradOutput, ref Handles gradients)
    {
        var saved = Saved(ctx, state);
        try
        {
            Handles handles = new() { Input = saved[0]?.Handle ?? 0, Weight = saved[1]?.Handle ?? 0, Bias = saved[2]?.Handle ?? 0 };
            BackwardPass.Run(state, gradOutput.Handle, handles, ref gradients);
        }
        finally
        {
            foreach (var tensor in saved) tensor?.Dispose();
        }
    }

    private static List<Tensor?> Saved(autograd.AutogradContext ctx, NodeState state)
    {
        try
        {
            return ctx.get_saved_variables()!;
        }
        catch (ExternalException e)
        {
            // TorchSharp unpacks all saved tensors in one call and does not report which one failed.
            throw new InvalidOperationException($"{state.Op.Name}'s input, weight or bias: {AutogradLibrary.WithoutTrace(e.Message)}", e);
        }
    }

    private static Tensor Wrap(nint gradient) => gradient == 0 ? null! : Tensor.UnsafeCreateTensor(gradient).DetachFromDisposeScope();

    private static Tensor Refused(bool isInput) => isInput ? zeros([], device: CPU).DetachFromDisposeScope() : null!;

    private static List<Tensor> Keep(List<Tensor> gradients)
    {
        t_returned = gradients;
        return gradients;
    }

    // C++ copies the returned gradients after the callback has ended, so their wrappers can be disposed only in the next callback.
    private static void ReleaseReturned()
    {
        if (t_returned is null) return;
        foreach (var tensor in t_returned) tensor?.Dispose();
        t_returned = null;
    }
}
