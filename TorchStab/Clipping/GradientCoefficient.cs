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

    /// <summary>The least normal float32: below it a factor loses its digits in float32, and in the end is 0.</summary>
    public const double LeastNormal = 1.17549435e-38;

    public bool IsIdentity => Scale == 1 && double.IsPositiveInfinity(Bound) && UnitScale is null;

    /// <summary>Whether the kernels can apply it: all elements alike, by a factor that float32 holds.</summary>
    public bool IsUniform => UnitScale is null && !IsMinute;

    private bool IsMinute => Scale != 0 && Math.Abs(Scale) < LeastNormal;

    /// <summary>The clipped gradient in its own dtype, rounded once; the same object where there is nothing to do.</summary>
    public Tensor Of(Tensor gradient)
    {
        if (IsIdentity) return gradient;
        var g = gradient.to(Arithmetic(gradient.dtype));
        if (Scale != 1) g = g.mul(Scale);
        if (Clamps(g)) g = g.clamp(-Bound, Bound);
        if (UnitScale is not null) g = g.mul(UnitScale);
        return g.to(gradient.dtype);
    }

    /// <summary>The same in the gradient's place. What it takes is gone when it returns.</summary>
    public void ApplyInPlace(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var g = gradient.to(Arithmetic(gradient.dtype)); // the gradient itself where the dtype is right
        if (Scale != 1) g.mul_(Scale);
        if (Clamps(g)) g.clamp_(-Bound, Bound);
        if (UnitScale is not null) g.mul_(UnitScale);
        if (g.dtype != gradient.dtype) gradient.copy_(g);
    }

    // libtorch rounds a factor to the tensor's dtype: 1e-3 / 60,000 is 0 in float16, and a bound of 1e5 is refused there.
    private ScalarType Arithmetic(ScalarType dtype) =>
        dtype == ScalarType.Float64 || IsMinute || UnitScale?.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    // A bound beyond the largest float32 clips none; libtorch refuses it.
    private bool Clamps(Tensor g) => Bound <= (g.dtype == ScalarType.Float64 ? double.MaxValue : float.MaxValue);
}
