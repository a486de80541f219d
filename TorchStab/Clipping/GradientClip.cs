using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// A rule that bounds gradients. Pass it to <see cref="Modules.ClippedOptimizer"/>, set it as <c>Clip</c> of a TorchStab optimizer, or call
/// <see cref="Apply"/>. <see cref="ZScore"/> and <see cref="Percentile"/> remember past norms: use one instance for one optimizer.
/// </summary>
public abstract class GradientClip
{
    private protected GradientClip() { }

    /// <summary>The order of the norm that is reported and checked for NaN: the one that the rule measures.</summary>
    internal virtual double Order => 2;

    /// <summary>Measures the gradients and decides. Writes neither gradients nor the rule's memory.</summary>
    internal abstract ClipDecision Decide(GradientSet gradients);

    /// <summary>Adds the norm of the last decision to the rule's memory. Called when it is certain that the decision is applied.</summary>
    internal virtual void Accept() { }

    /// <summary>Whether decisions depend on past norms, which a saved state must then contain.</summary>
    internal virtual bool HasMemory => false;

    internal virtual void SaveMemory(BinaryWriter writer) { }

    internal virtual void LoadMemory(BinaryReader reader) { }

    /// <summary>
    /// Clips by the global norm, as <c>torch.nn.utils.clip_grad_norm_</c>: g ← g · min(1, c / (‖g‖ₚ + eps)). The norm is that of all gradients
    /// together, so clipping keeps their direction.
    /// </summary>
    /// <param name="c">The largest norm, at least 0.</param>
    /// <param name="normType">p, the order of the norm: any number or infinity; default 2.</param>
    /// <param name="eps">Added to the norm; default 1e-6, as PyTorch. 0 gives Keras's <c>global_clipnorm</c>, c / max(‖g‖, c).</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/> or <paramref name="eps"/>, a NaN <paramref name="normType"/>.</exception>
    public static GradientClip ByGlobalNorm(double c, double normType = 2.0, double eps = 1e-6) =>
        new GlobalNormClip(Numbers.Threshold(c, nameof(c)), Numbers.Order(normType, nameof(normType)), Numbers.Finite(eps, nameof(eps)));

    /// <summary>Clips the norm of each gradient by itself: g ← g · c / max(‖g‖₂, c). Keras's <c>clipnorm</c>.</summary>
    /// <param name="c">The largest norm of one gradient, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByNorm(double c) => new ParameterNormClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Clamps every element to [−c, c]: g ← min(max(g, −c), c), as <c>torch.nn.utils.clip_grad_value_</c> and Keras's <c>clipvalue</c>. Clamping changes
    /// the gradient's direction.
    /// </summary>
    /// <param name="c">The largest magnitude of an element, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByValue(double c) => new ValueClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Adaptive gradient clipping (Brock et al. 2021, arXiv:2102.06171): scales the gradient of each unit i whose ‖gᵢ‖ ≥ λ · max(‖wᵢ‖, eps):
    /// gᵢ ← gᵢ · λ · max(‖wᵢ‖, eps) / max(‖gᵢ‖, 1e-6). A unit is one row of a weight (all axes but the first); a tensor with one axis or none is one unit.
    /// </summary>
    /// <param name="clipping">λ, the largest ratio of a unit's gradient norm to its weight norm, at least 0; default 0.01.</param>
    /// <param name="eps">The least weight norm that bounds are computed with, so that units near zero can learn; at least 0, default 1e-3.</param>
    /// <param name="exclude">
    /// Receives a parameter and its name (null if the optimizer has no name for it) and returns true to leave the parameter unclipped; the authors do so
    /// with the last layer. Default: null, all are clipped.
    /// </param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN value.</exception>
    public static GradientClip Adaptive(double clipping = 0.01, double eps = 1e-3, Func<string?, Parameter, bool>? exclude = null) =>
        new AdaptiveClip(Numbers.Threshold(clipping, nameof(clipping)), Numbers.Finite(eps, nameof(eps)), exclude);

    /// <summary>
    /// Clips each gradient by its root mean square: g ← g / max(1, rms(g) / c). As optax's <c>clip_by_block_rms</c> (Adafactor's update
    /// clipping, Shazeer and Stern 2018). Unlike <see cref="ByNorm"/>, the bound does not depend on the size of the tensor.
    /// </summary>
    /// <param name="c">The largest root mean square, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByBlockRms(double c) => new BlockRmsClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// ZClip (Kumar et al. 2025, arXiv:2504.02507): clips a global norm that is an outlier among the past ones, with a z-score z = (‖g‖ − μ)/σ above z*:
    /// ‖g‖ ← μ + z*σ · z*/z, so that a larger outlier is clipped to a smaller norm. μ and σ² are running averages that start from the first
    /// <paramref name="warmup"/> norms.
    /// </summary>
    /// <param name="alpha">Weight of the past in the running averages, in [0, 1); default 0.97.</param>
    /// <param name="zThreshold">z*, above 0; default 2.5.</param>
    /// <param name="warmup">The number of first steps, whose norms start the averages and are not compared with them; at least 1, default 25.</param>
    /// <param name="maxNorm">The largest norm in any step, warm-up included; null (the default): no such bound. The authors' code uses 1.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A value outside its range.</exception>
    public static GradientClip ZScore(double alpha = 0.97, double zThreshold = 2.5, int warmup = 25, double? maxNorm = null)
    {
        if (alpha is not (>= 0 and < 1)) throw new ArgumentException($"expected a weight in [0, 1), got {Repr.Of(alpha)}", nameof(alpha));
        if (!(zThreshold > 0)) throw new ArgumentException($"expected a z-score above 0, got {Repr.Of(zThreshold)}", nameof(zThreshold));
        if (warmup < 1) throw new ArgumentException(FormattableString.Invariant($"expected at least 1 step, got {warmup}"), nameof(warmup));
        return new ZScoreClip(alpha, zThreshold, warmup, maxNorm is { } m ? Numbers.Threshold(m, nameof(maxNorm)) : null);
    }

    /// <summary>
    /// AutoClip (Seetharaman et al. 2020, arXiv:2007.14469): g ← g · min(1, c / (‖g‖₂ + 1e-6)) as <see cref="ByGlobalNorm"/>, where c is the p-th
    /// percentile of the norms so far, the current one included. The authors keep all norms; this rule keeps a window of the latest ones.
    /// </summary>
    /// <param name="percentile">p in [0, 100], interpolated linearly; default 10, the authors' choice.</param>
    /// <param name="window">The number of norms that are remembered, at least 1; default 1000.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A value outside its range.</exception>
    public static GradientClip Percentile(double percentile = 10, int window = 1000)
    {
        if (percentile is not (>= 0 and <= 100))
            throw new ArgumentException($"expected a percentile in [0, 100], got {Repr.Of(percentile)}", nameof(percentile));
        if (window < 1) throw new ArgumentException(FormattableString.Invariant($"expected a window of at least 1 norm, got {window}"), nameof(window));
        return new PercentileClip(percentile, window);
    }

    /// <summary>
    /// Clips the gradients of <paramref name="parameters"/> in place by this rule, once, without an optimizer. Skips parameters without a
    /// gradient. A gradient that is not finite is not refused: it enters the rule's formula.
    /// </summary>
    /// <param name="parameters">Of any floating dtypes and devices, which may differ.</param>
    /// <returns>The norm before clipping, the smallest factor, and whether a gradient was clipped.</returns>
    /// <exception cref="ArgumentException">A parameter is null or was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// A gradient is sparse, complex, not of its parameter's shape or device, or cannot be written in place. No gradient is changed then.
    /// </exception>
    public StepReport Apply(IEnumerable<Parameter> parameters)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = GradientSet.Of(parameters);
        var decision = Decide(gradients);
        gradients.Apply(decision);
        Accept();
        return new StepReport { GradNorm = decision.TotalNorm, Coefficient = decision.Coefficient, Clipped = decision.Clipped };
    }
}
