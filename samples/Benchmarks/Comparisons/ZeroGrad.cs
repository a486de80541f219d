using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Gradients set to zero in place: what both libraries can do every time. Ours sets them to null by default, which costs less.</summary>
internal sealed class ZeroGrad : IComparison
{
    public string Name => "zero_grad";

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("200 × 64×64", ParameterLists.Same(200, 64, 64));
        if (!quick) yield return Case("ResNet-18, 11.7 M", ParameterLists.ResNet18());
    }

    private static Pair Case(string name, List<long[]> shapes)
    {
        var theirs = ParameterLists.WithGradients(shapes, 1);
        var mine = ParameterLists.WithGradients(shapes, 1);
        var libtorch = optim.SGD(theirs, 0.1);
        var ours = stab.optim.SGD(mine, 0.1);
        return new(name, libtorch.zero_grad, () => ours.zero_grad(set_to_none: false), sizeof(float) * ParameterLists.Elements(mine),
            Verify: Verify, Release: Release);

        void Verify()
        {
            using var scope = NewDisposeScope();
            ours.zero_grad(set_to_none: false);
            if (mine.Exists(p => p.grad!.count_nonzero().item<long>() > 0)) throw new InvalidOperationException($"zero_grad, {name}: a gradient is not zero");
        }

        void Release()
        {
            libtorch.Dispose();
            ours.Dispose();
            foreach (var parameter in theirs.Concat(mine)) parameter.Dispose();
        }
    }
}
