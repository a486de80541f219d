using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Clip by the global norm and step: <c>clip_grad_norm_</c> then TorchSharp's <c>step()</c>, against one clipping-aware step.</summary>
internal abstract class OptimizerStep : IComparison
{
    public abstract string Name { get; }

    /// <summary>Floats read and written per element: the norm reads g; the update reads p, g and the state, and writes p and the state.</summary>
    protected abstract int Streams { get; }

    /// <summary>For lists of at least 10 M elements; null where this project set itself none.</summary>
    protected virtual (double AtLeast, double Aim)? LargeTarget => (2.8, 5);

    /// <summary>For lists of small tensors.</summary>
    protected virtual (double AtLeast, double Aim)? SmallTarget => (12, 30);

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("200 × 64×64", ParameterLists.Same(200, 64, 64), SmallTarget);
        if (quick) yield break;
        yield return Case("400 × 128", ParameterLists.Same(400, 128), SmallTarget);
        yield return Case("ResNet-18, 11.7 M", ParameterLists.ResNet18(), LargeTarget);
        yield return Case("GPT, 13.8 M", ParameterLists.Gpt(), LargeTarget);
    }

    protected abstract optim.Optimizer Libtorch(IEnumerable<Parameter> parameters);

    protected abstract optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm);

    private Pair Case(string name, List<long[]> shapes, (double AtLeast, double Aim)? target)
    {
        var sides = new OptimizerSides($"{Name}, {name}", shapes, Libtorch, Ours);
        return new(name, sides.Libtorch, sides.Ours, Streams * sizeof(float) * sides.Elements, target?.AtLeast, target?.Aim, sides.Verify,
            sides.Dispose, sides.Peak);
    }
}

internal sealed class AdamStep : OptimizerStep
{
    public override string Name => "clip + Adam";

    protected override int Streams => 8;

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.Adam(parameters);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) => stab.optim.Adam(parameters, global_clipnorm: globalNorm);
}

internal sealed class AdamWStep : OptimizerStep
{
    public override string Name => "clip + AdamW";

    protected override int Streams => 8;

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.AdamW(parameters, weight_decay: 1e-2);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) =>
        stab.optim.AdamW(parameters, weight_decay: 1e-2, global_clipnorm: globalNorm);
}

internal sealed class SGDStep : OptimizerStep
{
    public override string Name => "clip + SGD momentum";

    protected override int Streams => 6;

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.SGD(parameters, 1e-3, momentum: 0.9, weight_decay: 1e-4);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) =>
        stab.optim.SGD(parameters, 1e-3, momentum: 0.9, weight_decay: 1e-4, global_clipnorm: globalNorm);
}

internal sealed class RMSpropStep : OptimizerStep
{
    public override string Name => "clip + RMSprop";

    protected override int Streams => 6;

    protected override (double, double)? LargeTarget => null;

    protected override (double, double)? SmallTarget => null;

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.RMSProp(parameters, 1e-3);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) =>
        stab.optim.RMSprop(parameters, 1e-3, global_clipnorm: globalNorm);
}
