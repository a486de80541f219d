using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>The inputs of the update of one parameter: gradient <paramref name="Index"/> of the set, its clip coefficient and the state.</summary>
internal readonly record struct ParameterUpdate(GradientSet Gradients, int Index, MomentState State, GradientCoefficient Coefficient)
{
    public Parameter Parameter => Gradients.Parameter(Index);

    public Tensor Gradient => Gradients.Gradient(Index);

    /// <summary>Whether all elements have the same clip coefficient, as the kernels require.</summary>
    public bool IsUniform => Coefficient.IsUniform;

    /// <summary>
    /// The memory of the parameter, its gradient, the moments that the options need, and the master copy; moments that do not exist are created.
    /// </summary>
    public StepMemory Memory(ClipOptions options) =>
        Gradients.Memory(Index, State.View(0, options), State.View(1, options), State.View(2, options), State.MasterView());

    /// <summary>Adds the update to those that libtorch's operations on lists compute; false if they cannot.</summary>
    public bool TryAdd(FusedStep step, in StepMemory memory, long age) => !Coefficient.IsSubnormal
        && step.TryAdd(memory, Parameter, new(Coefficient.Scale, Coefficient.Bound, Coefficient.UnitScale?.Handle ?? 0), age);

    /// <summary>The scaling, clamping and weight decay that a kernel applies to the gradient.</summary>
    /// <param name="maximize">Whether to maximize the loss.</param>
    /// <param name="decay">λ of an L2 penalty; 0 if the decay is decoupled.</param>
    public GradientTransform Transform(bool? maximize, double decay) =>
        new() { Scale = maximize == true ? -Coefficient.Scale : Coefficient.Scale, Bound = Coefficient.Bound, Decay = decay };

    /// <summary>
    /// The eps of a denominator √v + eps, made large enough to prevent a division by zero. With an eps of 0, or one that rounds to 0 in the dtype of the
    /// arithmetic, an element whose gradients were all zero gives 0/0, and one whose squared gradients underflow gives m/0. The smallest eps is about the
    /// square root of the dtype's smallest number: every nonzero √v is larger.
    /// </summary>
    public static double LeastEps(double eps, ScalarType dtype) => Math.Max(eps, dtype == ScalarType.Float64 ? 1e-161 : 1e-22);
}
