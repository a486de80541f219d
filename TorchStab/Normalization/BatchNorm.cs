using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Batch normalization (Ioffe &amp; Szegedy 2015): y = (x − mean)/√(var + eps)·weight + bias for each channel, over the batch and all
/// spatial positions.
/// </summary>
/// <remarks>
/// In training mean and the biased variance Σ(x − mean)²/n come from the batch, and the running statistics take it in:
/// running ← (1 − momentum)·running + momentum·batch, with the unbiased variance n/(n − 1). In eval mode the running statistics
/// normalize; a module without them uses the batch's. Dtypes: float64, float32, float16, bfloat16, the half ones also with float32
/// parameters; statistics of half types are accumulated in float32. An input without elements gives such an output and leaves the
/// running statistics as they are. Non-finite values stay within their channel.
/// </remarks>
public abstract class BatchNorm : NormBase
{
    private protected BatchNorm(string name, NormSpec spec) : base(name, spec) { }

    /// <summary>What to do in training when a channel holds one value only. Default: <see cref="SingleValuePolicy.Throw"/>.</summary>
    public SingleValuePolicy SingleValuePolicy { get; set; }

    /// <summary>Sees input and mask of every call while statistics are re-estimated; forward hooks would miss direct calls of forward.</summary>
    internal Action<Tensor, Tensor?>? InputObserver { get; set; }

    /// <summary>Normalizes <paramref name="input"/>.</summary>
    /// <param name="input">(N, C, …), of the rank the class is for.</param>
    /// <returns>The same shape, dtype and memory format; always a new tensor.</returns>
    /// <exception cref="ArgumentException">The rank, the number of channels or a dtype does not fit, or a channel holds one value only
    /// in training. The module is then as it was.</exception>
    public override Tensor forward(Tensor input) => forward(input, null);

    /// <summary>
    /// Normalizes a padded batch: only values under <paramref name="mask"/> count in the statistics, and all are normalized with them.
    /// Equal to normalizing without the padding. In eval mode the mask changes nothing for finite values.
    /// </summary>
    /// <param name="input">(N, C, …), of the rank the class is for.</param>
    /// <param name="mask">Broadcastable to input, e.g. (N, 1, L): true (or a weight above 0) where a value counts. n is the mask's
    /// weight after broadcasting. Null is no mask.</param>
    /// <returns>The same shape, dtype and memory format; always a new tensor.</returns>
    /// <remarks>Values of weight 0 that are not finite count as 0, so that uninitialized padding does no harm to gradients.</remarks>
    /// <exception cref="ArgumentException">As without a mask, and where mask cannot be broadcast to input.</exception>
    public Tensor forward(Tensor input, Tensor? mask)
    {
        ArgumentNullException.ThrowIfNull(input);
        CheckRank(input);
        InputObserver?.Invoke(input, mask);
        var running = !training ? new RunningStatistics(running_mean, running_var)
            : track_running_stats ? new RunningStatistics(running_mean, running_var, num_batches_tracked, Momentum()) : default;
        return BatchNormFunctional.Apply(new(input, running, WeightOrNull, bias, eps, training || (running.Mean is null && running.Variance is null))
        {
            Mask = mask,
            Relu = EndsInReLU,
            Renorm = Bounds(),
            SingleValue = SingleValuePolicy,
            Exchange = Exchange(),
        });
    }

    /// <summary>Whether max(0, ·) follows.</summary>
    private protected bool EndsInReLU { get; init; }

    /// <summary>The bounds of batch renormalization for the next batch; null for a class that does not renormalize.</summary>
    private protected virtual (double RMax, double DMax)? Bounds() => null;

    /// <summary>The processes whose batches are normalized together; null for a class, or a mode, that knows this one only.</summary>
    private protected virtual IBatchNormExchange? Exchange() => null;

    // Read from the counter only where the average is cumulative: on a GPU that waits for the device.
    // The cast, not item: a counter taken over from TorchSharp may be a float.
    private double Momentum() => momentum ?? (num_batches_tracked is { } count ? 1.0 / ((double)count + 1) : 0);
}
