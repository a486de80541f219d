using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The running statistics of one call, and the one place that writes them: running ← (1 − momentum)·running + momentum·batch, and the number of batches with
/// them. They are looked at before anything is written, and written once everything else has succeeded.
/// </summary>
/// <remarks>
/// The tracked variance is the unbiased one, n/(n − 1) of the biased that normalizes. A variance that the dtype of running_var does not hold counts as its
/// largest finite number, and so does an infinity that stands there: the average recovers from it, where libtorch's stays infinite.
/// </remarks>
/// <param name="Mean">running_mean; null is left out.</param>
/// <param name="Variance">running_var; null is left out.</param>
/// <param name="Batches">num_batches_tracked; null counts nothing.</param>
/// <param name="Momentum">The share of the new batch.</param>
internal readonly record struct RunningStatistics(Tensor? Mean, Tensor? Variance, Tensor? Batches = null, double Momentum = 0)
{
    /// <summary>Whether there are any to normalize with.</summary>
    public bool Exist => Mean is not null && Variance is not null;

    /// <summary>Whether kernels can read and write them as they lie.</summary>
    public bool TakeKernel => KernelSelection.TakesStatistics(Mean) && KernelSelection.TakesStatistics(Variance);

    /// <summary>Refuses a counter that cannot be raised.</summary>
    public void RequireCounter()
    {
        if (Batches is null || KernelSelection.TakesCounter(Batches)) return;
        using var _ = no_grad();
        Writable.RequireCounter(Batches, nameof(Modules.NormBase.num_batches_tracked));
    }

    /// <summary>Refuses statistics that operations on <paramref name="input"/> cannot write. A kernel can write all that <see cref="TakeKernel"/>.</summary>
    public void RequireWritable(Tensor input)
    {
        using var _ = no_grad();
        Writable.Require(Mean, "running_mean", input);
        Writable.Require(Variance, "running_var", input);
    }

    /// <summary>Takes in a batch whose statistics a kernel left in its state, where <see cref="TakeKernel"/>.</summary>
    /// <param name="mean">The batch's mean.</param>
    /// <param name="biasedVariance">The batch's Σ(x − mean)²/n.</param>
    /// <param name="count">n, more than 1.</param>
    public void Update(ReadOnlySpan<double> mean, ReadOnlySpan<double> biasedVariance, double count)
    {
        if (Mean is not null) ChannelStatistics.Blend(Mean, mean, 1, Momentum, double.PositiveInfinity);
        if (Variance is not null) ChannelStatistics.Blend(Variance, biasedVariance, count / (count - 1), Momentum, Largest(Variance));
        CountBatch();
    }

    /// <summary>The same with the statistics as tensors.</summary>
    public void Update(Tensor mean, Tensor biasedVariance, double count)
    {
        if (TakeKernel && KernelSelection.TakesStatistics(mean) && KernelSelection.TakesStatistics(biasedVariance))
        {
            if (Mean is not null) ChannelStatistics.Blend(Mean, mean, 1, Momentum, double.PositiveInfinity);
            if (Variance is not null) ChannelStatistics.Blend(Variance, biasedVariance, count / (count - 1), Momentum, Largest(Variance));
            CountBatch();
            return;
        }
        using var n = tensor(count, device: biasedVariance.device);
        Update(mean, biasedVariance, n);
    }

    /// <summary>The same with a count for each channel.</summary>
    public void Update(Tensor mean, Tensor biasedVariance, Tensor count)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        // Both are computed before one of them is written.
        var newMean = Mean is null ? null : Blended(Mean, mean, double.PositiveInfinity);
        var newVariance = Variance is null ? null : Blended(Variance, biasedVariance * (count / (count - 1)), Largest(Variance));
        if (newMean is not null) Mean!.copy_(newMean);
        if (newVariance is not null) Variance!.copy_(newVariance);
        CountBatch();
    }

    /// <summary>Counts a batch; one without values changes nothing else.</summary>
    public void CountBatch()
    {
        if (Batches is null) return;
        if (KernelSelection.TakesCounter(Batches)) ChannelStatistics.Increment(Batches);
        else
        {
            using var _ = no_grad();
            Batches.add_(1);
        }
    }

    // Half types are blended in the accumulation type and rounded once.
    private Tensor Blended(Tensor running, Tensor batch, double most)
    {
        var (old, value) = (running.to(batch.dtype), batch.reshape(running.shape));
        if (double.IsFinite(most)) (old, value) = (old.clamp(max: most), value.clamp(max: most));
        var blended = old * (1 - Momentum) + value * Momentum;
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
