using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The autograd node of row normalization by kernel: LayerNorm, which subtracts the mean of a row, and RMSNorm, which does not.
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
    /// checked the arguments with <see cref="KernelSelection.FormOfRows"/>.
    /// </summary>
    public Tensor? Run(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps)
    {
        using var state = AutogradPlug.Begin(this, input, weight, bias);
        (state.Inner, state.Epsilon, state.NormalizedShape) = ((int)NormalizedShape.Count(normalized_shape), eps, normalized_shape);
        nint output = _centred ? RowNormLaunch<Yes>.Forward(state, state.Inner) : RowNormLaunch<No>.Forward(state, state.Inner);
        return output == 0 ? null : state.Finish(output);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (_centred) RowNormLaunch<Yes>.Backward(state, state.Inner, outputGradient, saved, ref gradients);
        else RowNormLaunch<No>.Backward(state, state.Inner, outputGradient, saved, ref gradients);
    }

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor? bias)
    {
        long[] dims = NormalizedShape.Dims(state.NormalizedShape!), shape = [.. Enumerable.Repeat(1L, (int)input.dim() - dims.Length), .. state.NormalizedShape!];
        var x = input.to(Moments.Accumulator(input));
        var moments = _centred ? Moments.Over(x, dims, state.Epsilon) : Moments.AboutZero(x, dims, state.Epsilon);
        var standardized = moments.Centred * moments.InverseDeviation;
        return NormGradient.Of(state, outputGradient, standardized, input, weight, shape, d => NormGradient.ThroughStatistics(d, standardized, moments.Rate, dims, _centred));
    }
}
