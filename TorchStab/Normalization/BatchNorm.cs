using TorchStab.Normalization;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Batch normalization (Ioffe &amp; Szegedy 2015): y = (x − mean)/√(var + eps)·weight + bias for each channel, over the batch and all
/// spatial positions.
/// </summary>
/// <remarks>
/// In training mode the mean and the biased variance Σ(x − mean)²/n are the batch's, and the running statistics are updated:
/// running ← (1 − momentum)·running + momentum·batch, with the unbiased variance n/(n − 1). In eval mode the module
/// normalizes with the running statistics, or with the batch's if it has none. Dtypes: float64, float32, float16, bfloat16; float16 and
/// bfloat16 inputs may have float32 parameters, and their statistics are accumulated in float32. An empty input gives an empty output and
/// does not change the running statistics. A non-finite value affects its own channel only.
/// </remarks>
public abstract class BatchNorm : NormBase
{
    private protected BatchNorm(string name, NormSpec spec) : base(name, spec) { }

    /// <summary>What to do in training mode when a channel has only one value. Default: <see cref="SingleValuePolicy.Throw"/>.</summary>
    public SingleValuePolicy SingleValuePolicy { get; set; }

    /// <summary>Receives input and mask of every call while statistics are re-estimated. A forward hook would not see direct calls of forward.</summary>
    internal Action<Tensor, Tensor?>? InputObserver { get; set; }

    /// <summary>Normalizes each channel of <paramref name="input"/>.</summary>
    /// <param name="input">(N, C, …), with the rank that the class requires.</param>
    /// <returns>The same shape, dtype and memory format; always a new tensor.</returns>
    /// <exception cref="ArgumentException">The rank, the number of channels or a dtype does not fit, or a channel has only one value
    /// in training mode. The module is not changed then.</exception>
    public override Tensor forward(Tensor input) => forward(input, null);

    /// <summary>
    /// Normalizes a padded batch: only values that <paramref name="mask"/> selects count in the statistics, and all values are normalized
    /// with them. The result equals that of normalizing without the padding. In eval mode the mask changes nothing for finite values.
    /// </summary>
    /// <param name="input">(N, C, …), with the rank that the class requires.</param>
    /// <param name="mask">Broadcastable to input, e.g. (N, 1, L): true (or a weight above 0) where a value counts. n is the mask's
    /// weight after broadcasting. Null: no mask.</param>
    /// <returns>The same shape, dtype and memory format; always a new tensor.</returns>
    /// <remarks>Non-finite values of weight 0 count as 0, so that uninitialized padding does not spoil gradients.</remarks>
    /// <exception cref="ArgumentException">As without a mask, or mask cannot be broadcast to input.</exception>
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

    /// <summary>Whether the output is max(0, ·) of the normalized values.</summary>
    private protected bool EndsInReLU { get; init; }

    /// <summary>The bounds of batch renormalization for the next batch; null: the class does not renormalize.</summary>
    private protected virtual (double RMax, double DMax)? Bounds() => null;

    /// <summary>The processes whose batches are normalized together; null: only this process.</summary>
    private protected virtual IBatchNormExchange? Exchange() => null;

    // The counter is read only where the average is cumulative, because reading it waits for a GPU.
    // It is cast because a counter from a TorchSharp module may be a float.
    private double Momentum() => momentum ?? (num_batches_tracked is { } count ? 1.0 / (ReadNumber(count) + 1) : 0);
}
