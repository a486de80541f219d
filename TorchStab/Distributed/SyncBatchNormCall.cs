using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>One training call of SyncBatchNorm: as <see cref="BatchNormCall"/>, but the ranks exchange statistics after the checks.</summary>
internal static class SyncBatchNormCall
{
    public static Tensor Run(ref BatchNormCall call, ProcessGroup group, double momentum)
    {
        var input = call.Input;
        RequireNone(call.Mask);
        BatchNormCheck.Input(input, call.Eps);
        BatchNormCheck.Statistics(call.RunningMean, call.RunningVar, call.Weight, call.Bias, input.size(1), training: true);
        ParameterTypes.RequireMatch(input, call.Weight, call.Bias, call.RunningMean, call.RunningVar);
        using var scope = NewDisposeScope();
        RunningStatistics.RequireWritable(call.RunningMean, call.RunningVar, input);
        var (mean, variance, count) = SyncBatchNormFunctional.Statistics(group, input);
        if (count == 1) throw BatchNormCheck.TooFewValues(input, call.RunningMean is not null, masked: false);
        var output = SyncBatchNormFunctional.Normalize(group, input, mean, variance, count, call.Weight, call.Bias, call.Eps);
        if (count > 1) RunningStatistics.Update(call.RunningMean, call.RunningVar, Narrow(mean), Narrow(variance), count, momentum);
        call.Trained = true;
        return output.MoveToOuterDisposeScope();

        Tensor Narrow(Tensor statistic) => statistic.to(Moments.Accumulator(input), input.device);
    }

    private static void RequireNone(Tensor? mask)
    {
        if (mask is not null) throw new ArgumentException("SyncBatchNorm takes no mask; leave the padding out of the batch", nameof(mask));
    }
}
