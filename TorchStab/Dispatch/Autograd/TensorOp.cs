using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>An op whose backward pass is a formula in tensor operations of its own instead of a kernel.</summary>
internal abstract class TensorOp : NormOp
{
    /// <summary>
    /// Puts an output that was computed without a graph into the graph of its inputs, where one of them wants a gradient. What
    /// <see cref="Differentiate"/> is to remember goes into <paramref name="kept"/>. The output is taken over, another one returned.
    /// </summary>
    public Tensor Record(Tensor output, Tensor input, Tensor? weight, Tensor? bias, ReadOnlySpan<double> kept)
    {
        using var state = AutogradPlug.Begin(this, input, weight, bias);
        if (!state.IsWanted) return output;
        state.Keep(kept);
        return state.Finish(output.DetachFromDisposeScope().DecoupleFromNativeHandle());
    }

    /// <inheritdoc/>
    public sealed override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var scope = NewDisposeScope();
        var (input, weight, bias) = Differentiate(state, BackwardPass.Copy(outputGradient)!, BackwardPass.Copy(saved.Input)!, BackwardPass.Copy(saved.Weight));
        gradients.Input = BackwardPass.Take(state.InputWanted, input);
        gradients.Weight = BackwardPass.Take(state.WeightWanted, weight);
        gradients.Bias = BackwardPass.Take(state.BiasWanted, bias);
    }

    /// <summary>The gradients that are wanted; others may be null. Runs in a scope of its own.</summary>
    protected abstract (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight);
}
