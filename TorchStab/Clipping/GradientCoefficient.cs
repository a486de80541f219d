using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Clipping;

/// <summary>
/// What clipping does to one gradient: g' = clamp(scale · g, −bound, bound) · unitScale. The optimizer applies it as it reads a gradient for the
/// update, and does not write the clipped gradient back.
/// </summary>
/// <param name="Scale">The factor; the average over accumulated passes is part of it.</param>
/// <param name="Bound">The largest magnitude of an element; infinity if nothing is clamped.</param>
/// <param name="UnitScale">One factor for each unit, which broadcasts over the gradient; null if the rule does not scale units.</param>
internal readonly record struct GradientCoefficient(double Scale, double Bound = double.PositiveInfinity, Tensor? UnitScale = null)
{
    public static GradientCoefficient Identity => new(1);

    /// <summary>The smallest normal float32. A smaller factor loses precision in float32, or becomes 0.</summary>
    public const double LeastNormal = 1.17549435e-38;

    public bool IsIdentity => Scale == 1 && double.IsPositiveInfinity(Bound) && UnitScale is null;

    /// <summary>Whether the kernels can apply it: one factor for all elements, which is a normal float32.</summary>
    public bool IsUniform => UnitScale is null && !IsSubnormal;

    /// <summary>Whether the factor needs float64: it is below the normal numbers of float32.</summary>
    public bool IsSubnormal => Scale != 0 && Math.Abs(Scale) < LeastNormal;

    /// <summary>The clipped gradient in the gradient's dtype, rounded once; the gradient itself if clipping does not change it.</summary>
    public Tensor Of(Tensor gradient)
    {
        if (IsIdentity) return gradient;
        var g = gradient.to(Arithmetic(gradient));
        if (Scale != 1) g = g.mul(Scale);
        if (Clamps(g)) g = g.clamp(-Bound, Bound);
        if (UnitScale is not null) g = g.mul(UnitScale);
        return g.to(gradient.dtype);
    }

    /// <summary>Clips the gradient in place. Temporary tensors are released before it returns.</summary>
    public void ApplyInPlace(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var g = gradient.to(Arithmetic(gradient)); // the gradient itself if it has that dtype
        if (Scale != 1) g.mul_(Held(Scale));
        if (Clamps(g)) g.clamp_(Held(-Bound), Held(Bound));
        if (UnitScale is not null) g.mul_(UnitScale);
        if (g.dtype != gradient.dtype) gradient.copy_(g);
    }

    // libtorch rounds a factor to the tensor's dtype: in float16, 1e-3 / 60,000 becomes 0, and libtorch refuses a bound of 1e5.
    private ScalarType Arithmetic(Tensor gradient) => gradient.dtype == ScalarType.Float64 || IsSubnormal || UnitScale?.dtype == ScalarType.Float64
        ? KernelSelection.WideDtype(gradient) : ScalarType.Float32;

    // A bound above the dtype's largest number clips nothing, and libtorch refuses it.
    private bool Clamps(Tensor g) => Bound <= (g.dtype == ScalarType.Float64 ? double.MaxValue : float.MaxValue);
}
