using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Batch normalization and ReLU by one kernel, and their place in the autograd graph. Nothing but the input is saved: the backward pass
/// computes the mask again, for which it needs the bias.
/// </summary>
internal sealed class BatchNormReLUNode : BatchNormNode
{
    private static readonly BatchNormReLUNode Op = new();

    /// <inheritdoc/>
    public override bool NeedsBias => true;

    /// <inheritdoc cref="BatchNormNode.Train"/>
    public static new Tensor? Train(Tensor input, Tensor? weight, Tensor? bias, double eps, out ChannelMoments moments) =>
        BatchNormRecording<Yes>.Train(Op, input, weight, bias, eps, out moments);

    /// <inheritdoc cref="BatchNormNode.Evaluate"/>
    public static new Tensor Evaluate(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps) =>
        BatchNormRecording<Yes>.Evaluate(Op, input, mean, variance, weight, bias, eps);

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) =>
        BatchNormLaunch<Yes>.Backward(state, outputGradient, saved, ref gradients);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        var moments = Standardize(state, input);
        var output = BatchNormFunctional.Affine(moments.Centred, moments.InverseDeviation, weight, bias);
        return Differentiate(state, outputGradient.masked_fill(output.detach().le(0), 0), input, weight, moments);
    }
}
