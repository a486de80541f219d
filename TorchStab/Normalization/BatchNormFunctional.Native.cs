using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Batch normalization in libtorch's fused operations.</summary>
internal static partial class BatchNormFunctional
{
    /// <summary>The mean and the biased variance of each channel, in the accumulation dtype and without gradient.</summary>
    public static (Tensor Mean, Tensor Variance) NativeStatistics(Tensor input)
    {
        using var scope = NewDisposeScope();
        var (variance, mean) = var_mean(Wide(input.detach()), ChannelDims.OfStatistics(input), unbiased: false);
        return (mean.MoveToOuterDisposeScope(), variance.MoveToOuterDisposeScope());
    }

    // libtorch updates the running statistics in the same call. At momentum 0 there is nothing to update: 0 times an infinite variance would be NaN.
    private static Tensor TrainNatively(in ChannelNormArguments a)
    {
        using var state = BatchNormNode.Begin(a);
        var running = a.Running.Momentum == 0 ? default : a.Running;
        if (running.Momentum == 1) running.Saturate(share: 1); // 0 times an infinite old variance would be NaN
        var output = BatchNormNode.TrainNatively(state, running.Mean, running.Variance, running.Momentum, a.Relu);
        running.Saturate(running.Momentum);
        a.Running.CountBatch();
        return output;
    }

    private static BatchNormResult NormalizeNatively(in ChannelNormArguments a)
    {
        using var state = BatchNormNode.Begin(a);
        var output = BatchNormNode.TrainNatively(state, null, null, momentum: 0, a.Relu);
        var (mean, variance) = NativeStatistics(a.Input);
        return new(output, mean, variance);
    }

    // Normalizes a float32 copy of a half type. Gradients have the dtypes of the originals.
    private static Tensor InFloat32(in ChannelNormArguments a, double count = 0)
    {
        using var scope = NewDisposeScope();
        var wide = a with { Input = a.Input.to(ScalarType.Float32), Weight = a.Weight?.to(ScalarType.Float32), Bias = a.Bias?.to(ScalarType.Float32) };
        return (a.Training ? Train(wide, count, null) : Evaluate(wide)).to(a.Input.dtype).MoveToOuterDisposeScope();
    }
}
