using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The one place that writes running statistics: running ← (1 − momentum)·running + momentum·batch.</summary>
internal static class RunningStatistics
{
    /// <summary>
    /// Refuses statistics that cannot be written, before anything is computed or written. Those that a kernel takes always can
    /// (<see cref="KernelSelection.TakesStatistics"/>).
    /// </summary>
    public static void RequireWritable(Tensor? running_mean, Tensor? running_var, Tensor input)
    {
        using var _ = no_grad();
        Writable.Require(running_mean, nameof(running_mean), input);
        Writable.Require(running_var, nameof(running_var), input);
    }

    /// <summary>Takes one batch in. The tracked variance is the unbiased one, n/(n − 1) of the biased that normalizes.</summary>
    /// <remarks>
    /// A variance that the dtype of running_var does not hold counts as its largest finite number, and so does an infinity that stands there: the
    /// average recovers from it, where libtorch's stays infinite.
    /// </remarks>
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
            if (running_mean is not null) ChannelStatistics.Blend(running_mean, mean, 1, momentum, double.PositiveInfinity);
            if (running_var is not null) ChannelStatistics.Blend(running_var, biasedVariance, count / (count - 1), momentum, Largest(running_var));
            return;
        }
        using var scope = NewDisposeScope();
        Update(running_mean, running_var, mean, biasedVariance, tensor(count, device: biasedVariance.device), momentum);
    }

    /// <summary>The same with a kernel's statistics, where <see cref="KernelSelection.TakesStatistics"/> lets the running ones through.</summary>
    public static void Update(
        Tensor? running_mean, Tensor? running_var, ReadOnlySpan<double> mean, ReadOnlySpan<double> biasedVariance, double count, double momentum)
    {
        if (running_mean is not null) ChannelStatistics.Blend(running_mean, mean, 1, momentum, double.PositiveInfinity);
        if (running_var is not null) ChannelStatistics.Blend(running_var, biasedVariance, count / (count - 1), momentum, Largest(running_var));
    }

    /// <summary>The same with a count for each channel.</summary>
    public static void Update(Tensor? running_mean, Tensor? running_var, Tensor mean, Tensor biasedVariance, Tensor count, double momentum)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        // Both are computed before one of them is written.
        var newMean = running_mean is null ? null : Blend(running_mean, mean, momentum, double.PositiveInfinity);
        var newVariance = running_var is null ? null : Blend(running_var, biasedVariance * (count / (count - 1)), momentum, Largest(running_var));
        if (newMean is not null) running_mean!.copy_(newMean);
        if (newVariance is not null) running_var!.copy_(newVariance);
    }

    // Half types are blended in the accumulation type and rounded once.
    private static Tensor Blend(Tensor running, Tensor batch, double momentum, double most)
    {
        var (old, value) = (running.to(batch.dtype), batch.reshape(running.shape));
        if (double.IsFinite(most)) (old, value) = (old.clamp(max: most), value.clamp(max: most));
        var blended = old * (1 - momentum) + value * momentum;
        return (double.IsFinite(most) ? blended.clamp(max: most) : blended).to(running.dtype);
    }

    private static double Largest(Tensor running) => running.dtype switch
    {
        ScalarType.Float16 => (double)Half.MaxValue,
        ScalarType.BFloat16 => 3.3895313892515355e38,
        ScalarType.Float32 => float.MaxValue,
        _ => double.MaxValue,
    };
}
