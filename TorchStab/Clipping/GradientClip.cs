using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// A rule that bounds gradients. Give one to the <c>Clip</c> of TorchStab's optimizers, or call <see cref="Apply"/>.
/// </summary>
public abstract class GradientClip
{
    private protected GradientClip() { }

    /// <summary>The order of the norm the rule is about: the one that is reported and checked for NaN.</summary>
    internal virtual double Order => 2;

    /// <summary>Measures and decides; writes no gradient. Rules with a memory take the norm into it.</summary>
    internal abstract ClipDecision Decide(GradientSet gradients);

    /// <summary>
    /// Global norm as <c>torch.nn.utils.clip_grad_norm_</c>: every gradient is multiplied by min(1, c / (‖g‖ₚ + eps)), the norm taken
    /// over all of them together, so that their common direction stays.
    /// </summary>
    /// <param name="c">The largest norm, at least 0.</param>
    /// <param name="normType">p, the order of the norm: any number or infinity; default 2.</param>
    /// <param name="eps">Added to the norm; default 1e-6, as PyTorch. 0 gives Keras's <c>global_clipnorm</c>, c / max(‖g‖, c).</param>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/> or <paramref name="eps"/>, a NaN <paramref name="normType"/>.</exception>
    public static GradientClip ByGlobalNorm(double c, double normType = 2.0, double eps = 1e-6) =>
        new GlobalNormClip(Numbers.Threshold(c, nameof(c)), Numbers.Order(normType, nameof(normType)), Numbers.Threshold(eps, nameof(eps)));

    /// <summary>Each gradient by its own norm: g · c / max(‖g‖₂, c). Keras's <c>clipnorm</c>.</summary>
    /// <param name="c">The largest norm of one gradient, at least 0.</param>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByNorm(double c) => new ParameterNormClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Every element to [−c, c], as <c>torch.nn.utils.clip_grad_value_</c> and Keras's <c>clipvalue</c>. The direction changes.
    /// </summary>
    /// <param name="c">The largest magnitude of an element, at least 0.</param>
    /// <exception cref="ArgumentException">A negative or NaN <paramref name="c"/>.</exception>
    public static GradientClip ByValue(double c) => new ValueClip(Numbers.Threshold(c, nameof(c)));

    /// <summary>
    /// Adaptive gradient clipping (Brock et al. 2021, arXiv:2102.06171), unit by unit: where ‖gᵢ‖ ≥ λ · max(‖wᵢ‖, eps), the unit's
    /// gradient becomes gᵢ · λ · max(‖wᵢ‖, eps) / max(‖gᵢ‖, 1e-6). A unit is a row of a weight (all axes but the first), or the whole of
    /// a tensor of one axis or none.
    /// </summary>
    /// <param name="clipping">λ, how long a gradient may be in terms of its weights, at least 0; default 0.01.</param>
    /// <param name="eps">Length that weights near zero count as, at least 0; default 1e-3.</param>
    /// <param name="exclude">
    /// Says of a parameter, and of its name if the optimizer knows one, whether to leave it alone: the authors leave out the last layer.
    /// </param>
    /// <exception cref="ArgumentException">A negative or NaN value.</exception>
    public static GradientClip Adaptive(double clipping = 0.01, double eps = 1e-3, Func<string?, Parameter, bool>? exclude = null) =>
        new AdaptiveClip(Numbers.Threshold(clipping, nameof(clipping)), Numbers.Threshold(eps, nameof(eps)), exclude);

    /// <summary>
    /// Clips the gradients of <paramref name="parameters"/> in place by this rule, once, without an optimizer. Parameters without a
    /// gradient are left out; a gradient that is not finite spreads as the rule's formula says.
    /// </summary>
    /// <param name="parameters">Of any floating dtype and device, mixed as they come.</param>
    /// <returns>Norm before clipping, factor, and whether anything was clipped.</returns>
    /// <exception cref="InvalidOperationException">A gradient is sparse.</exception>
    public StepReport Apply(IEnumerable<Parameter> parameters)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var gradients = GradientSet.Of(parameters);
        var decision = Decide(gradients);
        for (int i = 0; i < gradients.Count; i++) decision.Coefficients[i].ApplyInPlace(gradients.Gradients[i]);
        return new StepReport { GradNorm = decision.TotalNorm, Coefficient = decision.Coefficient, Clipped = decision.Clipped };
    }
}
