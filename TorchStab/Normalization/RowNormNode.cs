using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The autograd node of row normalization by kernel or native operation: LayerNorm, which subtracts the mean of a row, and RMSNorm, which does not.
/// </summary>
internal sealed class RowNormNode : GraphOp
{
    /// <summary>The nodes of LayerNorm and RMSNorm.</summary>
    public static readonly RowNormNode Layer = new("LayerNorm", centred: true), RMS = new("RMSNorm", centred: false);

    private readonly bool _centred;

    private RowNormNode(string name, bool centred) => (Name, _centred) = (name, centred);

    /// <inheritdoc/>
    public override string Name { get; }

    /// <summary>
    /// Normalizes, and records the node if gradients are needed; null where the values are too large or too small for a kernel. The caller has
    /// checked the arguments with <see cref="NormSelection.FormOfRows"/>.
    /// </summary>
    public Tensor? Run(NormForm form, Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps)
    {
        using var state = AutogradPlug.Begin(this, input, weight, bias);
        (state.Inner, state.Epsilon, state.NormalizedShape) = ((int)NormalizedShape.Count(normalized_shape), eps, normalized_shape);
        nint output = form == NormForm.Native ? RowNormNative.Forward(state, _centred)
            : _centred ? RowNormLaunch<Yes>.Forward(state, state.Inner) : RowNormLaunch<No>.Forward(state, state.Inner);
        return output == 0 ? null : state.Finish(output);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (state.IsNative && RowNormNative.HasBackward(_centred, saved.Input)) RowNormNative.Backward(state, _centred, outputGradient, saved, ref gradients);
        else if (state.IsNative) gradients = RootMeanSquare(state, outputGradient, saved);
        else if (_centred) RowNormLaunch<Yes>.Backward(state, state.Inner, outputGradient, saved, ref gradients);
        else RowNormLaunch<No>.Backward(state, state.Inner, outputGradient, saved, ref gradients);
    }

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor? bias)
    {
        long[] dims = NormalizedShape.Dims(state.NormalizedShape!);
        var x = input.to(Moments.Accumulator(input));
        var moments = _centred ? Moments.Over(x, dims, state.Epsilon) : Moments.AboutZero(x, dims, state.Epsilon);
        return Gradients(state, outputGradient, input, weight, moments.Centred * moments.InverseDeviation, moments.Rate);
    }

    // RMSNorm's gradients from the rate that the native operation returned, for devices without an operation for them.
    private Handles RootMeanSquare(NodeState state, nint outputGradient, in Handles saved)
    {
        using var scope = NewDisposeScope();
        Tensor x = BackwardPass.Copy(saved.Input)!, rate = BackwardPass.Copy(state.Kept.Rate)!;
        var (input, weight, _) = Gradients(state, BackwardPass.Copy(outputGradient)!, x, BackwardPass.Copy(saved.Weight), x * rate, rate);
        return new() { Input = BackwardPass.Take(state.InputWanted, input), Weight = BackwardPass.Take(state.WeightWanted, weight) };
    }

    private (Tensor? Input, Tensor? Weight, Tensor? Bias) Gradients(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor standardized, Tensor rate)
    {
        long[] dims = NormalizedShape.Dims(state.NormalizedShape!),
            shape = [.. Enumerable.Repeat(1L, (int)input.dim() - dims.Length), .. state.NormalizedShape!];
        return NormGradient.Of(state, outputGradient, standardized, input, weight, shape,
            d => NormGradient.ThroughStatistics(d, standardized, rate, dims, _centred));
    }
}
