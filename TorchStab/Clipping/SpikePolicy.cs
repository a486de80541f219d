namespace TorchStab;

/// <summary>
/// What an optimizer does with a step whose gradient norm, or loss, lies far above those of the steps before it: x − mean &gt; sigma · deviation, mean and
/// unbiased deviation over the previous values of a window. Half the window has to be full before anything is decided; the new value enters the window
/// afterwards, skipped or not, so that a level that has really changed is soon accepted.
/// </summary>
/// <remarks>
/// The rule of OLMo's SkipStep optimizers (Groeneveld et al. 2024). It delays a divergence that the architecture causes, and does not prevent it: attention
/// logits that grow are cured by normalized queries and keys. Never by a constant threshold, which a drifting norm exceeds in every step.
/// </remarks>
public sealed class SpikePolicy
{
    private SpikePolicy(double sigma, int window, int maxConsecutive) => (Sigma, Window, MaxConsecutive) = (sigma, window, maxConsecutive);

    /// <summary>Takes every step (the default).</summary>
    public static SpikePolicy Off { get; } = new(double.PositiveInfinity, 0, int.MaxValue);

    internal double Sigma { get; }

    /// <summary>0 where nothing is remembered.</summary>
    internal int Window { get; }

    internal int MaxConsecutive { get; }

    /// <summary>Skips the step and counts it: parameters, moments, weight decay and the step count stay as they are.</summary>
    /// <param name="sigma">Deviations above the mean, above 0; default 6.</param>
    /// <param name="window">Steps that mean and deviation are taken over, at least 2; default 128.</param>
    /// <param name="maxConsecutive">Spikes in a row that may be skipped, at least 1; default 20. One more raises <see cref="InvalidOperationException"/> in the
    /// step.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException">A number outside its range.</exception>
    public static SpikePolicy Skip(double sigma = 6, int window = 128, int maxConsecutive = 20)
    {
        if (!(sigma > 0 && double.IsFinite(sigma))) throw new ArgumentException($"expected a finite number above 0, got {Repr.Of(sigma)}", nameof(sigma));
        if (window < 2) throw new ArgumentException(FormattableString.Invariant($"expected at least 2, got {window}"), nameof(window));
        if (maxConsecutive < 1)
            throw new ArgumentException(
                FormattableString.Invariant($"expected at least 1, got {maxConsecutive}; to take every step use SpikePolicy.Off"), nameof(maxConsecutive));
        return new(sigma, window, maxConsecutive);
    }
}
