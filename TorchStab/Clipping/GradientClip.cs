using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// A rule that bounds gradients. Give one to <see cref="Modules.ClippedOptimizer"/> or to the <c>Clip</c> of TorchStab's optimizers,
/// or call <see cref="Apply"/>. <see cref="ZScore"/> and <see cref="Percentile"/> remember past norms: one instance for one optimizer.
/// </summary>
public abstract class GradientClip
{
    private protected GradientClip() { }

    /// <summary>The order of the norm the rule is about: the one that is reported and checked for NaN.</summary>
    internal virtual double Order => 2;

    /// <summary>Measures and decides; writes nothing, neither gradients nor the memory of the rule.</summary>
    internal abstract ClipDecision Decide(GradientSet gradients);

    /// <summary>Takes the norm of the last decision into the memory, once it is certain that the decision is carried out.</summary>
    internal virtual void Accept() { }

    /// <summary>Whether past norms decide too; these belong into a saved state.</summary>
    internal virtual bool HasMemory => false;

    internal virtual void SaveMemory(BinaryWriter writer) { }

    internal virtual void LoadMemory(BinaryReader reader) { }

    /// <summary>
    /// Global norm as <c>torch.nn.utils.clip_grad_norm_</c>: g ← g · min(1, c / (‖g‖ₚ + eps)), the norm taken over
    /// all of them together, so that their common direction stays.
    /// </summary>
    /// <param name="c">The largest norm, at least 0.</param>
    /// <param name="normType">p, the order of the norm: any number or infinity; default 2.</param>
    /// <param name="eps">Added to the norm; default 1e-6, as PyTorch. 0 gives Keras's <c>global_clipnorm</c>, c / max(‖g‖, c).</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/> or <paramref name="eps"/>, a NaN <paramref name="normType"/>.</exception>
    public static GradientClip ByGlobalNorm(double c, double normType = 2.0, double eps = 1e-6) =>
        new GlobalNormClip(Numbers.Threshold(c, nameof(c)), Numbers.Order(normType, nameof(normType)), Numbers.Finite(eps, nameof(eps)));

    /// <summary>Each gradient by its own norm: g ← g · c / max(‖g‖₂, c). Keras's <c>clipnorm</c>.</summary>
    /// <param name="c">The largest norm of one gradient, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByNorm(double c) => new ParameterNormClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Every element to [−c, c], g ← min(max(g, −c), c), as <c>torch.nn.utils.clip_grad_value_</c> and Keras's <c>clipvalue</c>. The direction changes.
    /// </summary>
    /// <param name="c">The largest magnitude of an element, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByValue(double c) => new ValueClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Adaptive gradient clipping (Brock et al. 2021, arXiv:2102.06171), unit by unit: where ‖gᵢ‖ ≥ λ · max(‖wᵢ‖, eps), the unit's
    /// gradient is scaled: gᵢ ← gᵢ · λ · max(‖wᵢ‖, eps) / max(‖gᵢ‖, 1e-6). A unit is a row of a weight (all axes but the first), or the whole of
    /// a tensor of one axis or none.
    /// </summary>
    /// <param name="clipping">λ, how long a gradient may be in terms of its weights, at least 0; default 0.01.</param>
    /// <param name="eps">Length that weights near zero count as, at least 0; default 1e-3.</param>
    /// <param name="exclude">
    /// Says of a parameter, and of its name if the optimizer knows one, whether to leave it alone: the authors leave out the last layer. Default: null, none is left alone.
    /// </param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN value.</exception>
    public static GradientClip Adaptive(double clipping = 0.01, double eps = 1e-3, Func<string?, Parameter, bool>? exclude = null) =>
        new AdaptiveClip(Numbers.Threshold(clipping, nameof(clipping)), Numbers.Finite(eps, nameof(eps)), exclude);

    /// <summary>
    /// Each gradient by the root of its mean square: g ← g / max(1, rms(g) / c). As optax's <c>clip_by_block_rms</c> (Adafactor's update
    /// clipping, Shazeer and Stern 2018): unlike <see cref="ByNorm"/> it does not depend on the size of the tensor.
    /// </summary>
    /// <param name="c">The largest root mean square, at least 0.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByBlockRms(double c) => new BlockRmsClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// ZClip (Kumar et al. 2025, arXiv:2504.02507): a global norm whose z-score (‖g‖ − μ)/σ among the past ones exceeds z* is clipped,
    /// ‖g‖ ← μ + z*σ · z*/z, the lower the wilder it is. μ and σ² are running averages, started from the first <paramref name="warmup"/> norms.
    /// </summary>
    /// <param name="alpha">Weight of the past in the running averages, in [0, 1); default 0.97.</param>
    /// <param name="zThreshold">z*, above 0; default 2.5.</param>
    /// <param name="warmup">Steps that are only watched, at least 1; default 25.</param>
    /// <param name="maxNorm">A bound that always holds, during the warm-up too; null (the default): none. The authors' code has 1.</param>
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
    /// AutoClip (Seetharaman et al. 2020, arXiv:2007.14469): g ← g · min(1, c / (‖g‖₂ + 1e-6)) as <see cref="ByGlobalNorm"/>, with c = the p-th
    /// percentile of the norms so far, this one included. The authors' history grows for ever; here it is a window of the latest norms.
    /// </summary>
    /// <param name="percentile">p in [0, 100], interpolated linearly; default 10, the authors' choice.</param>
    /// <param name="window">How many norms are remembered, at least 1; default 1000.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentException">A value outside its range.</exception>
    public static GradientClip Percentile(double percentile = 10, int window = 1000)
    {
        if (percentile is not (>= 0 and <= 100)) throw new ArgumentException($"expected a percentile in [0, 100], got {Repr.Of(percentile)}", nameof(percentile));
        if (window < 1) throw new ArgumentException(FormattableString.Invariant($"expected a window of at least 1 norm, got {window}"), nameof(window));
        return new PercentileClip(percentile, window);
    }

    /// <summary>
    /// Clips the gradients of <paramref name="parameters"/> in place by this rule, once, without an optimizer. Parameters without a
    /// gradient are left out; a gradient that is not finite spreads as the rule's formula says.
    /// </summary>
    /// <param name="parameters">Of any floating dtype and device, mixed as they come.</param>
    /// <returns>Norm before clipping, factor, and whether anything was clipped.</returns>
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
