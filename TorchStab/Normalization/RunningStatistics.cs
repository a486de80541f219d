using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The one place that writes running statistics: running ← (1 − momentum)·running + momentum·batch.</summary>
internal static class RunningStatistics
{
    /// <summary>Takes one batch in. The tracked variance is the unbiased one, n/(n − 1) of the biased that normalizes.</summary>
    /// <param name="running_mean">Changed in place; null is left out.</param>
    /// <param name="running_var">Changed in place; null is left out.</param>
    /// <param name="mean">The batch's mean.</param>
    /// <param name="biasedVariance">The batch's Σ(x − mean)²/n.</param>
    /// <param name="count">n, more than 1.</param>
    /// <param name="momentum">The share of the new batch.</param>
    public static void Update(Tensor? running_mean, Tensor? running_var, Tensor mean, Tensor biasedVariance, double count, double momentum)
    {
        if (KernelSelection.TakesStatistics(running_mean) && KernelSelection.TakesStatistics(running_var)
            && KernelSelection.TakesStatistics(mean) && KernelSelection.TakesStatistics(biasedVariance))
        {
            if (running_mean is not null) ChannelStatistics.Blend(running_mean, mean, 1, momentum);
            if (running_var is not null) ChannelStatistics.Blend(running_var, biasedVariance, count / (count - 1), momentum);
            return;
        }
        using var scope = NewDisposeScope();
        Update(running_mean, running_var, mean, biasedVariance, tensor(count), momentum);
    }

    /// <summary>The same with a kernel's statistics, where <see cref="KernelSelection.TakesStatistics"/> lets the running ones through.</summary>
    public static void Update(Tensor? running_mean, Tensor? running_var, ChannelMoments moments, double count, double momentum)
    {
        if (running_mean is not null) ChannelStatistics.Blend(running_mean, moments.Mean, 1, momentum);
        if (running_var is not null) ChannelStatistics.Blend(running_var, moments.Variance, count / (count - 1), momentum);
    }

    /// <summary>Adds one batch to a counter.</summary>
    public static void Count(Tensor batches)
    {
        if (KernelSelection.TakesCounter(batches))
        {
            ChannelStatistics.Increment(batches);
            return;
        }
        using var _ = no_grad();
        batches.add_(1);
    }

    /// <summary>The same with a count for each channel.</summary>
    public static void Update(Tensor? running_mean, Tensor? running_var, Tensor mean, Tensor biasedVariance, Tensor count, double momentum)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        if (running_mean is not null) Blend(running_mean, mean, momentum);
        if (running_var is not null) Blend(running_var, biasedVariance * (count / (count - 1)), momentum);
    }

    // Half types are blended in the accumulation type and rounded once.
    private static void Blend(Tensor running, Tensor batch, double momentum) =>
        running.copy_((running.to(batch.dtype) * (1 - momentum) + batch.reshape(running.shape) * momentum).to(running.dtype));
}
