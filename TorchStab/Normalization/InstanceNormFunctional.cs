using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Instance normalization (Ulyanov et al. 2016): y = (x − mean)/√(var + eps)·weight + bias with the mean and the biased variance of each channel
/// of each sample over its positions. The tensor operations run on any device and dtype and can be differentiated any number of times; a kernel runs
/// where it supports the arguments.
/// </summary>
internal static class InstanceNormFunctional
{
    /// <summary>
    /// Checks the arguments, chooses a form, normalizes, and last updates the running statistics with the mean over the batch of each sample's
    /// statistics.
    /// </summary>
    /// <returns>A contiguous tensor with the input's shape and dtype.</returns>
    public static Tensor Apply(in ChannelNormArguments a)
    {
        ArgumentNullException.ThrowIfNull(a.Input, "input");
        InstanceNormCheck.Arguments(a);
        if (a.Input.numel() == 0) return BatchNormFunctional.Empty(a);
        if (!a.Training) return Evaluate(a);
        if (a.Running.Exist && !a.Running.TakeKernel) a.Running.RequireWritable(a.Input);
        return Train(a);
    }

    private static Tensor Train(in ChannelNormArguments a)
    {
        var form = NormSelection.FormOfGroups(a.Input, a.Weight, a.Bias, a.Input.size(1));
        if (form is NormForm.Kernel or NormForm.Native && NormalizeInOne(a, form) is { } output) return output;
        return form == NormForm.NativeInFloat32 ? TrainInFloat32(a) : Normalize(a);
    }

    private static Tensor Evaluate(in ChannelNormArguments a)
    {
        using var output = BatchNormFunctional.Evaluate(a);
        return output.contiguous();
    }

    // Null where the values are too large or too small for a kernel.
    private static Tensor? NormalizeInOne(in ChannelNormArguments a, NormForm form)
    {
        using var state = GroupNormNode.Instance.Begin(a.Input, a.Input.size(1), a.Weight, a.Bias, a.Eps);
        if (GroupNormNode.Run(state, form) is not { } output) return null;
        if (!a.Running.Exist) return output;
        using var scope = NewDisposeScope();
        if (form == NormForm.Native)
        {
            var x = a.Input.detach();
            var (variance, mean) = var_mean(x.to(Moments.Accumulator(x)), ChannelDims.OfPositions((int)x.dim()), unbiased: false);
            Update(a, mean, variance);
            return output;
        }
        long[] shape = [state.Outer, state.Middle];
        Update(a, ChannelStatistics.ToTensor(state.Means, shape, a.Input), ChannelStatistics.ToTensor(state.Variances, shape, a.Input));
        return output;
    }

    // Normalizes a float32 copy of a half type. Gradients have the dtypes of the originals.
    private static Tensor TrainInFloat32(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        var wide = a with { Input = a.Input.to(ScalarType.Float32), Weight = a.Weight?.to(ScalarType.Float32), Bias = a.Bias?.to(ScalarType.Float32) };
        return Train(wide).to(a.Input.dtype).MoveToOuterDisposeScope();
    }

    // The equation in tensor operations.
    private static Tensor Normalize(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        var moments = Moments.Over(a.Input.to(Moments.Accumulator(a.Input)), ChannelDims.OfPositions((int)a.Input.dim()), a.Eps);
        var output = BatchNormFunctional.Affine(moments.Centred, moments.InverseDeviation, a.Weight, a.Bias).to(a.Input.dtype).contiguous();
        if (a.Running.Exist) Update(a, PerInstance(moments.Mean), PerInstance(moments.Variance));
        return output.MoveToOuterDisposeScope();
    }

    // Updates the running statistics from statistics of shape (N, C), in the caller's scope.
    private static void Update(in ChannelNormArguments a, Tensor mean, Tensor variance) =>
        a.Running.Update(Average(mean), Average(variance), ShapeCheck.Positions(a.Input));

    // Scales by a power of two first, which is exact: a sum of large values may overflow where their mean does not.
    private static Tensor Average(Tensor perSample)
    {
        double share = Math.ScaleB(1, -(int)Math.Ceiling(Math.Log2(perSample.size(0))));
        return (perSample * share).mean([0]) / share;
    }

    private static Tensor PerInstance(Tensor statistic) => statistic.detach().flatten(2).squeeze(2);
}
