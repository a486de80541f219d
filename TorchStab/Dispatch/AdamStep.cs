using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>The numbers of one parameter's step, as <see cref="AdamArguments"/> explains them.</summary>
internal readonly record struct AdamNumbers(GradientNumbers Gradient, double Beta1, double Beta2, double Eps, double StepSize, double Correction, double Decay);

/// <summary>The kernel form of Adam: parameters are taken in one by one and updated together.</summary>
internal readonly struct AdamStep
{
    private readonly StepPass<AdamKernel, AdamArguments> _pass;

    private AdamStep(StepPass<AdamKernel, AdamArguments> pass) => _pass = pass;

    public static AdamStep Start() => new(StepPass<AdamKernel, AdamArguments>.Start());

    /// <inheritdoc cref="StepPass{K, TArguments}.TryAdd"/>
    public bool TryAdd(in AdamNumbers n, in StepMemory memory) => _pass.TryAdd(
        new()
        {
            Gradient = n.Gradient.Transform,
            Beta1 = n.Beta1,
            Beta2 = n.Beta2,
            Eps = n.Eps,
            StepSize = n.StepSize,
            Correction = n.Correction,
            Decay = n.Decay,
        },
        memory);

    public void Run() => _pass.Run();
}
