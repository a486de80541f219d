using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// Clip by the global norm and AdamW for bfloat16 parameters with float32 master copies: against <c>torch.optim</c> over copies that are kept by hand, and
/// against this package's step of float32 parameters.
/// </summary>
internal sealed class MasterWeightsStep : IComparison
{
    private const double MaxNorm = 1;

    // Half a unit of a weight of about 4 in bfloat16.
    private const double Agreement = 0.02;

    public string Name => "clip + AdamW, master weights";

    public IEnumerable<Pair> Cases(bool quick)
    {
        foreach (var (name, shapes) in new[] { ("200 × 64×64", ParameterLists.Same(200, 64, 64)), ("GPT, 13.8 M", ParameterLists.Gpt()) })
        {
            yield return Case($"{name} (by hand)", shapes, ByHand);
            yield return Case($"{name} (float32 step)", shapes, Float32);
            if (quick) yield break;
        }
    }

    // Reads and writes as many bytes as a float32 step: the two copies of a weight are written, and the gradient is half as long.
    private static Pair Case(string name, List<long[]> shapes, Func<List<Parameter>, (Action Step, IDisposable Optimizer)> other)
    {
        List<Parameter> theirs = Half(shapes), mine = Half(shapes);
        var (libtorch, used) = other(theirs);
        var ours = stab.optim.AdamW(mine, global_clipnorm: MaxNorm, master_weights: true);
        return new(name, libtorch, () => ours.step(), 8 * sizeof(float) * ParameterLists.Elements(mine), Verify: Verify, Release: Release);

        void Verify()
        {
            libtorch();
            ours.step();
            ParameterLists.RequireSame(name, theirs, mine, Agreement);
        }

        void Release()
        {
            ours.Dispose();
            used.Dispose();
            foreach (var parameter in theirs.Concat(mine)) parameter.Dispose();
        }
    }

    private static (Action, IDisposable) ByHand(List<Parameter> half)
    {
        List<Parameter> masters = half.ConvertAll(p => Single(p));
        var optimizer = optim.AdamW(masters, weight_decay: 1e-2);
        return (Step, optimizer);

        void Step()
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            for (int i = 0; i < half.Count; i++) masters[i].grad = half[i].grad!.to(ScalarType.Float32);
            nn.utils.clip_grad_norm_(masters, MaxNorm);
            optimizer.step();
            for (int i = 0; i < half.Count; i++) half[i].copy_(masters[i]);
        }
    }

    private static (Action, IDisposable) Float32(List<Parameter> half)
    {
        for (int i = 0; i < half.Count; i++)
        {
            var single = Single(half[i]);
            using (half[i].grad!) single.grad = half[i].grad!.to(ScalarType.Float32);
            half[i].Dispose();
            half[i] = single;
        }
        var optimizer = stab.optim.AdamW(half, global_clipnorm: MaxNorm);
        return (() => optimizer.step(), optimizer);
    }

    private static Parameter Single(Parameter half)
    {
        var single = new Parameter(half.detach().to(ScalarType.Float32));
        single.DetachFromDisposeScope();
        return single;
    }

    private static List<Parameter> Half(List<long[]> shapes)
    {
        var single = ParameterLists.WithGradients(shapes, 1);
        using var scope = NewDisposeScope();
        return single.ConvertAll(p =>
        {
            using var __ = p;
            var half = new Parameter(p.detach().bfloat16()) { grad = p.grad!.bfloat16() };
            half.DetachFromDisposeScope();
            return half;
        });
    }
}
