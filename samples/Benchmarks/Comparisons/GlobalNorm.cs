using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary><c>clip_grad_norm_</c> alone, with a threshold that the norm stays below: what a step pays for looking.</summary>
internal sealed class GlobalNorm : IComparison
{
    private const double Agreement = 1e-4; // libtorch's own norm is off by up to 3e-5

    public string Name => "clip_grad_norm_";

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("200 × 64×64", ParameterLists.Same(200, 64, 64));
        if (!quick) yield return Case("ResNet-18, 11.7 M", ParameterLists.ResNet18());
    }

    private static Pair Case(string name, List<long[]> shapes)
    {
        var parameters = ParameterLists.WithGradients(shapes, 1);
        return new(name, () => Theirs(), () => Ours(), sizeof(float) * ParameterLists.Elements(parameters), AtLeast: 1, Verify: Verify, Release: Release);

        double Theirs() => nn.utils.clip_grad_norm_(parameters, 1e30);

        double Ours() => stab.nn.utils.clip_grad_norm_(parameters, 1e30);

        void Verify()
        {
            if (Math.Abs(Theirs() / Ours() - 1) > Agreement) throw new InvalidOperationException($"{name}: {Ours()}, libtorch says {Theirs()}");
        }

        void Release() => parameters.ForEach(p => p.Dispose());
    }
}
