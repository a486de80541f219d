using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>The numbers of one parameter's step, as <see cref="SGDArguments"/> explains them.</summary>
internal readonly record struct SGDNumbers(GradientNumbers Gradient, double LearningRate, double Momentum, double Intake, double LookAhead);

/// <summary>The kernel form of SGD: parameters are taken in one by one and updated together.</summary>
internal readonly struct SGDStep
{
    private readonly StepPass<SGDKernel, SGDArguments> _pass;

    private SGDStep(StepPass<SGDKernel, SGDArguments> pass) => _pass = pass;

    public static SGDStep Start() => new(StepPass<SGDKernel, SGDArguments>.Start());

    /// <inheritdoc cref="StepPass{K, TArguments}.TryAdd"/>
    public bool TryAdd(in SGDNumbers n, in StepMemory memory) => _pass.TryAdd(
        new()
        {
            Gradient = n.Gradient.Transform,
            LearningRate = n.LearningRate,
            Momentum = n.Momentum,
            Intake = n.Intake,
            LookAhead = n.LookAhead,
        },
        memory);

    public void Run() => _pass.Run();
}
