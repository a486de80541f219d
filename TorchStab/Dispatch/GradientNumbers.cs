using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>What an update does to a gradient before it uses it: clamp(scale · g, ±bound) + decay · p; a negative scale maximizes.</summary>
internal readonly record struct GradientNumbers(double Scale, double Bound, double Decay)
{
    public GradientTransform Transform => new() { Scale = Scale, Bound = Bound, Decay = Decay };
}
