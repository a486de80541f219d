using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The autograd node of layer normalization over the channels of an image by kernel.</summary>
internal sealed class LayerNorm2dNode : GraphOp
{
    private static readonly LayerNorm2dNode Node = new();
    private static readonly long[] Channels = [1];

    private LayerNorm2dNode()
    {
    }

    /// <inheritdoc/>
    public override string Name => "LayerNorm2d";

    /// <summary>
    /// Normalizes, and records the node if gradients are needed; null where the values are too large or too small for a kernel. The caller has
    /// checked the arguments with <see cref="NormSelection.FormOfChannels"/>.
    /// </summary>
    public static Tensor? Run(Tensor input, Tensor? weight, Tensor? bias, double eps)
    {
        using var state = AutogradPlug.Begin(Node, input, weight, bias);
        state.Channels();
        state.Epsilon = eps;
        nint output = LayerNorm2dLaunch.Forward(state);
        return output == 0 ? null : state.Finish(output);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        LayerNorm2dLaunch.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor? bias)
    {
        var moments = Moments.Over(input.to(Moments.Accumulator(input)), Channels, state.Epsilon);
        var standardized = moments.Centred * moments.InverseDeviation;
        return NormGradient.Of(state, outputGradient, standardized, input, weight, ChannelDims.Shape(input),
            d => NormGradient.ThroughStatistics(d, standardized, moments.Rate, Channels));
    }
}
