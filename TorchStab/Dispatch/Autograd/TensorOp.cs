using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>An op whose backward pass is a formula in tensor operations instead of a kernel.</summary>
internal abstract class TensorOp : GraphOp
{
    /// <summary>
    /// Adds an output that was computed without a graph to the graph of its inputs, if one of them requires a gradient. <paramref name="kept"/> holds the
    /// values that <see cref="Differentiate"/> needs. Takes ownership of the output and returns a new wrapper, or the output itself if nothing is recorded.
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

    /// <summary>Computes the required gradients; others may be null. The caller opens a DisposeScope for it.</summary>
    protected abstract (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight);
}
