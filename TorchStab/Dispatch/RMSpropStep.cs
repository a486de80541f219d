using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>The numbers of one parameter's step, as <see cref="RMSpropArguments"/> explains them.</summary>
internal readonly record struct RMSpropNumbers(GradientNumbers Gradient, double LearningRate, double Alpha, double Eps, double Momentum);

/// <summary>The kernel form of RMSprop: parameters are taken in one by one and updated together.</summary>
internal readonly struct RMSpropStep
{
    private readonly StepPass<RMSpropKernel, RMSpropArguments> _pass;

    private RMSpropStep(StepPass<RMSpropKernel, RMSpropArguments> pass) => _pass = pass;

    public static RMSpropStep Start() => new(StepPass<RMSpropKernel, RMSpropArguments>.Start());

    /// <inheritdoc cref="StepPass{K, TArguments}.TryAdd"/>
    public bool TryAdd(in RMSpropNumbers n, in StepMemory memory) => _pass.TryAdd(
        new()
        {
            Gradient = n.Gradient.Transform,
            LearningRate = n.LearningRate,
            Alpha = n.Alpha,
            Eps = n.Eps,
            Momentum = n.Momentum,
        },
        memory);

    public void Run() => _pass.Run();
}
