using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Normalization;

/// <summary>
/// The running statistics of one call, and the only code that updates them: running ← (1 − momentum)·running + momentum·batch, and the number of
/// batches. They are checked before anything is written, and written after everything else has succeeded.
/// </summary>
/// <remarks>
/// The tracked variance is unbiased, n/(n − 1) times the biased variance that normalizes. A variance that is out of range of running_var's dtype counts as
/// its largest finite number, and so does an infinity that is already in running_var: the average recovers, where libtorch's remains infinite.
/// </remarks>
/// <param name="Mean">running_mean; null: not tracked.</param>
/// <param name="Variance">running_var; null: not tracked.</param>
/// <param name="Batches">num_batches_tracked; null: not counted.</param>
/// <param name="Momentum">The weight of the new batch.</param>
internal readonly record struct RunningStatistics(Tensor? Mean, Tensor? Variance, Tensor? Batches = null, double Momentum = 0)
{

    /// <summary>Whether both statistics exist.</summary>
    public bool Exist => Mean is not null && Variance is not null;

    /// <summary>Whether kernels can read and write their memory directly.</summary>
    public bool TakeKernel => KernelSelection.TakesStatistics(Mean) && KernelSelection.TakesStatistics(Variance);

    /// <summary>Whether the chosen form of a norm can read their memory directly. A kernel can then also write it.</summary>
    public bool Take(NormForm form, Tensor input, Tensor? weight) => form switch
    {
        NormForm.Kernel => TakeKernel,
        NormForm.Native or NormForm.NativeInFloat32 =>
            NormSelection.TakesNativeStatistics(Mean, form, input, weight) && NormSelection.TakesNativeStatistics(Variance, form, input, weight),
        _ => false,
    };

    /// <summary>Whether libtorch would write both in place, if <see cref="Take"/> is true.</summary>
    public bool AreWritable => !(Mean is not null && Writable.IsLocked(Mean)) && !(Variance is not null && Writable.IsLocked(Variance));

    /// <summary>Throws if the counter cannot be incremented.</summary>
    public void RequireCounter()
    {
        if (Batches is null || KernelSelection.TakesCounter(Batches)) return;
        using var _ = no_grad();
        Writable.RequireCounter(Batches, nameof(Modules.NormBase.num_batches_tracked));
    }

    /// <summary>
    /// Throws if operations on <paramref name="input"/> cannot write the statistics. A kernel can write them whenever <see cref="TakeKernel"/> is true.
    /// </summary>
    public void RequireWritable(Tensor input)
    {
        using var _ = no_grad();
        Writable.Require(Mean, "running_mean", input);
        Writable.Require(Variance, "running_var", input);
    }

    /// <summary>Updates with the statistics that a kernel has stored in its state; requires <see cref="TakeKernel"/>.</summary>
    /// <param name="mean">The batch's mean.</param>
    /// <param name="biasedVariance">The batch's Σ(x − mean)²/n.</param>
    /// <param name="count">n, greater than 1.</param>
    public void Update(ReadOnlySpan<double> mean, ReadOnlySpan<double> biasedVariance, double count)
    {
        if (Mean is not null) ChannelStatistics.Blend(Mean, mean, 1, Momentum, double.PositiveInfinity);
        if (Variance is not null) ChannelStatistics.Blend(Variance, biasedVariance, count / (count - 1), Momentum, Largest(Variance));
        CountBatch();
    }

    /// <summary>
    /// Replaces an infinite variance before or after a native operation has updated it: by the largest finite number, or its share in the average. libtorch's
    /// would remain infinite.
    /// </summary>
    /// <param name="share">1, or the weight of the new batch.</param>
    public void Saturate(double share)
    {
        if (Variance is not null) BatchNormNative.ReplaceInfinity(Variance, share * Largest(Variance));
    }

    /// <summary>Updates with statistics in tensors.</summary>
    public void Update(Tensor mean, Tensor biasedVariance, double count)
    {
        if (TakeKernel && KernelSelection.TakesStatistics(mean) && KernelSelection.TakesStatistics(biasedVariance))
        {
            if (Mean is not null) ChannelStatistics.Blend(Mean, mean, 1, Momentum, double.PositiveInfinity);
            if (Variance is not null) ChannelStatistics.Blend(Variance, biasedVariance, count / (count - 1), Momentum, Largest(Variance));
            CountBatch();
            return;
        }
        using var unbiased = biasedVariance * (count / (count - 1));
        Write(mean, unbiased);
    }

    /// <summary>Updates with a separate count for each channel.</summary>
    public void Update(Tensor mean, Tensor biasedVariance, Tensor count)
    {
        using var scope = NewDisposeScope();
        Write(mean, biasedVariance * (count / (count - 1)));
    }

    private void Write(Tensor mean, Tensor unbiasedVariance)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        // Computes both before it writes one of them.
        var newMean = Mean is null ? null : Blended(Mean, mean, double.PositiveInfinity);
        var newVariance = Variance is null ? null : Blended(Variance, unbiasedVariance, Largest(Variance));
        if (newMean is not null) Mean!.copy_(newMean);
        if (newVariance is not null) Variance!.copy_(newVariance);
        CountBatch();
    }

    /// <summary>Increments the number of batches; a batch without values changes nothing else.</summary>
    public void CountBatch()
    {
        if (Batches is null) return;
        if (KernelSelection.TakesCounter(Batches)) ChannelStatistics.Increment(Batches);
        else
        {
            using var _ = Batches.requires_grad ? no_grad() : null;
            Batches.add_(One, One);
        }
    }

    // float16 and bfloat16 are averaged in the accumulation dtype and rounded once.
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
