using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// One call of instance_norm on its state: checks, then the maths of <see cref="InstanceNormFunctional"/>, then one write of the
/// running statistics. A call that fails leaves them as they were.
/// </summary>
internal readonly record struct InstanceNormCall(Tensor Input, Tensor? RunningMean, Tensor? RunningVar, Tensor? Weight, Tensor? Bias, double Eps)
{
    /// <summary>torch.nn.functional.instance_norm.</summary>
    public Tensor Run(bool useInputStats, double momentum)
    {
        ArgumentNullException.ThrowIfNull(Input, "input");
        InstanceNormCheck.Arguments(Input, RunningMean, RunningVar, Weight, Bias, useInputStats, Eps);
        if (Input.numel() == 0) return BatchNormFunctional.Empty(Input, Weight, Bias);
        if (!useInputStats) return InstanceNormFunctional.Evaluate(Input, RunningMean!, RunningVar!, Weight, Bias, Eps);
        if (RunningMean is null && RunningVar is null) return InstanceNormFunctional.Normalize(Input, Weight, Bias, Eps, statistics: false).Output;

        using var scope = NewDisposeScope();
        if (!KernelSelection.TakesStatistics(RunningMean) || !KernelSelection.TakesStatistics(RunningVar))
            RunningStatistics.RequireWritable(RunningMean, RunningVar, Input);
        var (output, mean, variance) = InstanceNormFunctional.Normalize(Input, Weight, Bias, Eps, statistics: true);
        // The running statistics take in the mean over the batch of what each sample has.
        RunningStatistics.Update(RunningMean, RunningVar, Average(mean!), Average(variance!), ShapeCheck.Positions(Input), momentum);
        return output.MoveToOuterDisposeScope();
    }

    // By a power of two first, which rounds nothing: a sum of large values may overflow where their mean does not.
    private static Tensor Average(Tensor perSample)
    {
        double share = Math.ScaleB(1, -(int)Math.Ceiling(Math.Log2(perSample.size(0))));
        return (perSample * share).mean([0]) / share;
    }
}
