using TorchStab.Dispatch;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The autograd node of batch normalization by kernel or native operation, with or without a ReLU. It saves only the input and the parameters: a kernel's
/// backward pass computes the ReLU's mask again, for which it needs the bias.
/// </summary>
internal sealed class BatchNormNode : GraphOp
{
    private static readonly BatchNormNode Plain = new(relu: false), WithReLU = new(relu: true);
    private readonly bool _relu;

    private BatchNormNode(bool relu) => _relu = relu;

    /// <inheritdoc/>
    public override string Name => _relu ? "BatchNormReLU" : "BatchNorm";

    /// <inheritdoc/>
    public override bool NeedsBias => _relu;

    /// <summary>Prepares a call. The caller has checked the arguments with <see cref="NormSelection.FormOfChannels"/>.</summary>
    public static NodeState Begin(in ChannelNormArguments a)
    {
        var state = AutogradPlug.Begin(a.Relu ? WithReLU : Plain, a.Input, a.Weight, a.Bias);
        state.Channels();
        state.Epsilon = a.Eps;
        return state;
    }

    /// <summary>Normalizes with the batch's statistics and stores them in the state; null where the values are too large or too small for a kernel.</summary>
    public static Tensor? Train(NodeState state, bool relu)
    {
        state.Training = true;
        nint output = relu ? BatchNormLaunch<Yes>.Train(state) : BatchNormLaunch<No>.Train(state);
        return output == 0 ? null : state.Finish(output);
    }

    /// <summary>Normalizes with given statistics; null where the values are too large or too small for a kernel.</summary>
    public static Tensor? Evaluate(NodeState state, Tensor mean, Tensor variance, bool relu)
    {
        state.Training = false;
        nint output = relu ? BatchNormLaunch<Yes>.Evaluate(mean, variance, state) : BatchNormLaunch<No>.Evaluate(mean, variance, state);
        return output == 0 ? null : state.Finish(output);
    }

    /// <summary>Normalizes by the native operation, with the batch's statistics, and updates running statistics that are not null.</summary>
    public static Tensor TrainNatively(NodeState state, Tensor? mean, Tensor? variance, double momentum, bool relu)
    {
        state.Training = true;
        return state.Finish(BatchNormNative.Train(state, mean, variance, momentum, relu));
    }

    /// <summary>Normalizes by the native operation, with given statistics.</summary>
    public static Tensor EvaluateNatively(NodeState state, Tensor mean, Tensor variance, bool relu)
    {
        state.Training = false;
        return state.Finish(BatchNormNative.Evaluate(state, mean, variance, relu));
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (state.IsNative) BatchNormNative.Backward(state, outputGradient, saved, ref gradients);
        else if (_relu) BatchNormLaunch<Yes>.Backward(state, outputGradient, saved, ref gradients);
        else BatchNormLaunch<No>.Backward(state, outputGradient, saved, ref gradients);
    }

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor? bias)
    {
        var moments = Standardize(state, input);
        if (_relu)
        {
            var output = BatchNormFunctional.Affine(moments.Centred, moments.InverseDeviation, weight, bias);
            outputGradient = outputGradient.masked_fill(output.detach().le(0), 0);
        }
        var standardized = moments.Centred * moments.InverseDeviation;
        return NormGradient.Of(state, outputGradient, standardized, input, weight, ChannelDims.Shape(input),
            d => state.Training ? NormGradient.ThroughStatistics(d, standardized, moments.Rate, ChannelDims.OfStatistics(input)) : d * moments.Rate);
    }

    // The normalized input, by the batch's statistics or the given ones.
    private static Moments Standardize(NodeState state, Tensor input)
    {
        var x = input.to(Moments.Accumulator(input));
        if (state.Training) return Moments.Over(x, ChannelDims.OfStatistics(input), state.Epsilon);
        long[] view = ChannelDims.Shape(input);
        var (mean, variance) = state.IsNative
            ? (ChannelDims.Broadcast(BackwardPass.Copy(state.Kept.GivenMean)!, x), ChannelDims.Broadcast(BackwardPass.Copy(state.Kept.GivenVariance)!, x))
            : (ChannelStatistics.ToTensor(state.Means, view, input), ChannelStatistics.ToTensor(state.Variances, view, input));
        return new(x - mean, mean, variance, variance + state.Epsilon, Scale: null);
    }
}
