using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>Small things that tests of clipping and optimizers are made of.</summary>
internal static class Make
{
    /// <summary>A parameter of ones with the given gradient.</summary>
    public static Parameter Parameter(Tensor gradient) => new(ones_like(gradient)) { grad = gradient };

    /// <summary>One rule of each kind.</summary>
    public static GradientClip[] Rules(double c) =>
    [
        GradientClip.ByValue(c), GradientClip.ByNorm(c), GradientClip.ByGlobalNorm(c), GradientClip.ByGlobalNorm(c, double.PositiveInfinity),
        GradientClip.ByGlobalNorm(c, 2, 0), GradientClip.ByBlockRms(c), GradientClip.Adaptive(c), GradientClip.ZScore(maxNorm: c), GradientClip.Percentile(),
    ];

    /// <summary>One optimizer of each kind over the same parameters.</summary>
    public static IReadOnlyDictionary<string, Func<IEnumerable<(string, Parameter)>, TorchStab.Modules.ClippingAwareOptimizer>> Optimizers { get; } =
        new Dictionary<string, Func<IEnumerable<(string, Parameter)>, TorchStab.Modules.ClippingAwareOptimizer>>
        {
            ["Adam amsgrad"] = p => stab.optim.Adam(p, 0.01, weight_decay: 0.1, amsgrad: true),
            ["AdamW"] = p => stab.optim.AdamW(p, 0.01),
            ["SGD Nesterov"] = p => stab.optim.SGD(p, 0.01, 0.9, nesterov: true),
            ["plain SGD"] = p => stab.optim.SGD(p, 0.01),
            ["RMSprop centered"] = p => stab.optim.RMSprop(p, 0.01, momentum: 0.9, centered: true),
        };

    /// <summary>A small network with weights from a seed.</summary>
    public static Sequential Network(int seed, ScalarType dtype = ScalarType.Float64)
    {
        manual_seed(seed);
        return nn.Sequential(("first", nn.Linear(4, 8, dtype: dtype)), ("act", nn.Tanh()), ("last", nn.Linear(8, 3, dtype: dtype)));
    }

    /// <summary>Gradients of a random weighting of the network's outputs.</summary>
    public static void Backward(Sequential network, int seed, ScalarType dtype = ScalarType.Float64, int rows = 6)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        network.call(randn(rows, 4, dtype)).mul(randn(rows, 3, dtype)).mean().backward();
    }
}
