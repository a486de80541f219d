using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Clip by the global norm and step: <c>clip_grad_norm_</c> then TorchSharp's <c>step()</c>, against one clipping-aware step.</summary>
internal abstract class OptimizerStep : IComparison
{
    private const double MaxNorm = 1, Agreement = 1e-5;

    public abstract string Name { get; }

    /// <summary>Floats read and written per element: the norm reads g; the update reads p, g and the state, and writes p and the state.</summary>
    protected abstract int Streams { get; }

    protected abstract (double AtLeast, double Aim) LargeTarget { get; }

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("200 × 64×64", ParameterLists.Same(200, 64, 64), 12, 30);
        if (quick) yield break;
        yield return Case("400 × 128", ParameterLists.Same(400, 128), 12, 30);
        yield return Case("ResNet-18, 11.7 M", ParameterLists.ResNet18(), LargeTarget.AtLeast, LargeTarget.Aim);
        yield return Case("GPT, 13.8 M", ParameterLists.Gpt(), LargeTarget.AtLeast, LargeTarget.Aim);
    }

    protected abstract optim.Optimizer Libtorch(IEnumerable<Parameter> parameters);

    protected abstract optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm);

    private Pair Case(string name, List<long[]> shapes, double atLeast, double aim)
    {
        var theirs = ParameterLists.WithGradients(shapes, 1);
        var mine = ParameterLists.WithGradients(shapes, 1);
        optim.Optimizer libtorch = Libtorch(theirs), ours = Ours(mine, MaxNorm);
        return new(name, Step, () => ours.step(), Streams * sizeof(float) * ParameterLists.Elements(mine), atLeast, aim, Verify, Release);

        void Step()
        {
            nn.utils.clip_grad_norm_(theirs, MaxNorm);
            libtorch.step();
        }

        void Verify()
        {
            Step();
            ours.step();
            using var scope = NewDisposeScope();
            double worst = theirs.Zip(mine, (a, b) => (a - b).abs().max().item<float>()).Max();
            if (!(worst <= Agreement)) throw new InvalidOperationException($"{Name}, {name}: the parameters differ by {worst}");
        }

        void Release()
        {
            foreach (var optimizer in new[] { libtorch, ours }) optimizer.Dispose();
            foreach (var parameter in theirs.Concat(mine)) parameter.Dispose();
        }
    }
}

internal sealed class AdamStep : OptimizerStep
{
    public override string Name => "clip + Adam";

    protected override int Streams => 8;

    protected override (double, double) LargeTarget => (2.8, 5);

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.Adam(parameters);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) => stab.optim.Adam(parameters, global_clipnorm: globalNorm);
}

internal sealed class AdamWStep : OptimizerStep
{
    public override string Name => "clip + AdamW";

    protected override int Streams => 8;

    protected override (double, double) LargeTarget => (2.8, 5);

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.AdamW(parameters, weight_decay: 1e-2);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) =>
        stab.optim.AdamW(parameters, weight_decay: 1e-2, global_clipnorm: globalNorm);
}

internal sealed class SGDStep : OptimizerStep
{
    public override string Name => "clip + SGD momentum";

    protected override int Streams => 6;

    protected override (double, double) LargeTarget => (2.2, 3.3);

    protected override optim.Optimizer Libtorch(IEnumerable<Parameter> parameters) => optim.SGD(parameters, 1e-3, momentum: 0.9, weight_decay: 1e-4);

    protected override optim.Optimizer Ours(IEnumerable<Parameter> parameters, double globalNorm) =>
        stab.optim.SGD(parameters, 1e-3, momentum: 0.9, weight_decay: 1e-4, global_clipnorm: globalNorm);
}
