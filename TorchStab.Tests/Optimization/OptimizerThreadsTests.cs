using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>Optimizers share nothing: those of separate models may step at the same time.</summary>
public class OptimizerThreadsTests
{
    private const int Steps = 50;
    private static readonly string[] Kinds = [.. Make.Optimizers.Keys];

    [Fact]
    public void Optimizers_of_separate_models_step_in_parallel_as_they_do_one_by_one()
    {
        using var scope = NewDisposeScope();
        var one = Enumerable.Range(0, Kinds.Length).Select(Train).ToArray();
        var together = new Tensor[Kinds.Length];
        AtOnce.Run(Kinds.Length, i => together[i] = Train(i));
        for (int i = 0; i < Kinds.Length; i++)
        {
            Compare.Identical(one[i], together[i], $"parameter of thread {i}");
            together[i].Dispose();
        }
    }

    // Large enough for the threads of the kernels, numbers from a generator of its own.
    private static Tensor Train(int i)
    {
        var random = new Random(i);
        using var scope = NewDisposeScope();
        Tensor Draw() => tensor(Enumerable.Range(0, 40_000).Select(_ => random.NextSingle() - 0.5f).ToArray(), 200, 200);
        Parameter[] parameters = [.. Enumerable.Range(0, 4).Select(_ => new Parameter(Draw()))];
        using var optimizer = Make.Optimizers[Kinds[i]](parameters.Select((p, n) => ($"p{n}", p)));
        optimizer.Clip = GradientClip.ByGlobalNorm(1);
        foreach (var p in parameters) p.grad = Draw();
        for (int step = 0; step < Steps; step++) optimizer.step();
        return cat([.. parameters.Select(p => p.detach())]).MoveToOuterDisposeScope();
    }
}
