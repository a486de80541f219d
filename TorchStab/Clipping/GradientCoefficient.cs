using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// What clipping does to one gradient: g' = clamp(scale · g, −bound, bound) · unitScale. The update folds it in, so that gradients
/// are read once and not rewritten.
/// </summary>
/// <param name="Scale">The factor, averaging over accumulated passes included.</param>
/// <param name="Bound">The largest magnitude of an element, infinite where nothing is clamped.</param>
/// <param name="UnitScale">A factor per unit that broadcasts over the gradient, or null.</param>
internal readonly record struct GradientCoefficient(double Scale, double Bound = double.PositiveInfinity, Tensor? UnitScale = null)
{
    public static GradientCoefficient Identity => new(1);

    public bool IsIdentity => Scale == 1 && double.IsPositiveInfinity(Bound) && UnitScale is null;

    /// <summary>The clipped gradient; the same object where there is nothing to do.</summary>
    public Tensor Of(Tensor gradient)
    {
        var result = Scale == 1 ? gradient : gradient.mul(Scale);
        if (!double.IsPositiveInfinity(Bound)) result = result.clamp(-Bound, Bound);
        return UnitScale is null ? result : result.mul(UnitScale);
    }

    public void ApplyInPlace(Tensor gradient)
    {
        if (Scale != 1) gradient.mul_(Scale);
        if (!double.IsPositiveInfinity(Bound)) gradient.clamp_(-Bound, Bound);
        if (UnitScale is not null) gradient.mul_(UnitScale);
    }

    /// <summary>The same without <see cref="UnitScale"/> for the kernel form, with the sign and the L2 decay that follow the clipping.</summary>
    public GradientNumbers Numbers(bool? maximize, double decay) => new(maximize == true ? -Scale : Scale, Bound, decay);
}
