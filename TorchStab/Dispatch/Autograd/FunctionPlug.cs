using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Records ops with TorchSharp's public custom function. The output is computed before it is applied, so that its forward pass only hands
/// it over; every wrapper that TorchSharp would leave to the finalizer is disposed here, and its spare of each output too: that is for undefined
/// gradients, which ours are never made from.
/// </summary>
/// <remarks>
/// Two limits are TorchSharp's own: it releases what a node saved within the node's callback, so dropping a chain of some ten thousand norms needs a stack of
/// 8 MB; and its callbacks take locks, at which <see cref="Thread.Interrupt"/> raises if several threads meet there. <see cref="PooledPlug"/> has neither.
/// </remarks>
internal sealed class FunctionPlug : IAutogradPlug
{
    public NodeState Rent() => new(this, null);

    public void Return(NodeState state)
    {
        // Collected with its statistics.
    }

    public Tensor Attach(NodeState state, Tensor input, Tensor? weight, Tensor? bias, nint output)
    {
        using var scope = NewDisposeScope();
        var raw = Tensor.UnsafeCreateTensor(output);
        var recorded = NormFunction.apply(Savable(input)!, Savable(weight)!, Savable(bias)!, new Call(state, raw)).MoveToOuterDisposeScope();
        state.IsAttached = true;
        return recorded;
    }

    // A tensor made in inference mode cannot be saved; where no gradient of it is wanted, a copy serves. TorchSharp keeps a node for good whose saving failed.
    private static Tensor? Savable(Tensor? tensor)
    {
        if (tensor is null || tensor.requires_grad) return tensor;
        return AutogradLibrary.IsInference(tensor.Handle) ?? TakesNoGradient(tensor) ? tensor.clone() : tensor;
    }

    // What sets a tensor of inference mode apart, where libtorch cannot be asked.
    private static bool TakesNoGradient(Tensor tensor)
    {
        using var probe = tensor.detach();
        try
        {
            probe.requires_grad = true;
            return false;
        }
        catch (ExternalException)
        {
            return true;
        }
    }

    /// <summary>What one call hands to its forward pass; no tensor by itself, so no input of the graph.</summary>
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

    // Called by libtorch's engine: no exception may leave. A gradient of no dimension for an input that has some makes the engine raise in
    // C++, which is what reaches the caller of backward() as an exception.
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
            // TorchSharp unpacks all of them and does not say which one failed.
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

    // C++ copies what was returned after the callback is over, so the wrappers can only go at the next one.
    private static void ReleaseReturned()
    {
        if (t_returned is null) return;
        foreach (var tensor in t_returned) tensor?.Dispose();
        t_returned = null;
    }
}
