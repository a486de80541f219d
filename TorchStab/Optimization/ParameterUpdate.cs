using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>What the update of one parameter works with: gradient <paramref name="Index"/> of the set, read through the coefficient.</summary>
internal readonly record struct ParameterUpdate(GradientSet Gradients, int Index, MomentState State, GradientCoefficient Coefficient)
{
    public Parameter Parameter => Gradients.Parameter(Index);

    public Tensor Gradient => Gradients.Gradient(Index);

    /// <summary>Whether all elements are clipped alike, as the kernels need it.</summary>
    public bool IsUniform => Coefficient.IsUniform;

    /// <summary>Where the parameter, its gradient and the moments that the options ask for lie; the moments are there from now on.</summary>
    public StepMemory Memory(ClipOptions options) => Gradients.Memory(Index, State.View(0, options), State.View(1, options), State.View(2, options));

    /// <summary>What a kernel does to the gradient before it uses it.</summary>
    /// <param name="maximize">Whether to climb.</param>
    /// <param name="decay">λ of an L2 penalty; 0 where the decay is decoupled.</param>
    public GradientTransform Transform(bool? maximize, double decay) =>
        new() { Scale = maximize == true ? -Coefficient.Scale : Coefficient.Scale, Bound = Coefficient.Bound, Decay = decay };
}
