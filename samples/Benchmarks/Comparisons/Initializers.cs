using static TorchSharp.torch;
using TheirFan = TorchSharp.torch.nn.init.FanInOut;
using TheirFunction = TorchSharp.torch.nn.init.NonlinearityType;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Initialization against torch.nn.init, on a linear layer's weight and a ResNet's first convolution.</summary>
internal sealed class Initializers : IComparison
{
    /// <summary>No slower; the draws themselves are libtorch's on both sides, so the ratio scatters around 1.</summary>
    private const double AtLeast = 0.97, Aim = 1;

    public string Name => "init";

    public IEnumerable<Pair> Cases(bool quick)
    {
        foreach (var shape in new long[][] { [1024, 1024], [64, 3, 7, 7] })
        {
            yield return Case("xavier_uniform_", shape, t => nn.init.xavier_uniform_(t), t => stab.nn.init.xavier_uniform_(t));
            yield return Case("kaiming_normal_", shape, t => nn.init.kaiming_normal_(t, 0, TheirFan.FanIn, TheirFunction.ReLU),
                t => stab.nn.init.kaiming_normal_(t, nonlinearity: Nonlinearity.ReLU));
            if (quick) continue;
            yield return Case("normal_", shape, t => nn.init.normal_(t), t => stab.nn.init.normal_(t));
            yield return Case("zeros_", shape, t => nn.init.zeros_(t), t => stab.nn.init.zeros_(t));
            yield return Case("orthogonal_", shape, t => nn.init.orthogonal_(t), t => stab.nn.init.orthogonal_(t));
            if (shape.Length == 2) yield return Case("sparse_ 0.1", shape, t => nn.init.sparse_(t, 0.1), t => stab.nn.init.sparse_(t, 0.1));
            else yield return Case("dirac_", shape, t => nn.init.dirac_(t), t => stab.nn.init.dirac_(t));
        }
    }

    private Pair Case(string scheme, long[] shape, Func<Tensor, Tensor> theirs, Func<Tensor, Tensor> ours)
    {
        Tensor a = empty(shape), b = empty(shape);
        string name = $"{scheme} {string.Join('×', shape)}";
        return new(name, () => theirs(a), () => ours(b), sizeof(float) * a.NumberOfElements, AtLeast, Aim, Verify, Release);

        void Verify()
        {
            manual_seed(1);
            theirs(a);
            manual_seed(1);
            ours(b);
            using var difference = (a - b).abs().max();
            if (difference.item<float>() > 1e-6f) throw new InvalidOperationException($"{Name}, {name}: the tensors differ by {difference.item<float>()}");
        }

        void Release()
        {
            a.Dispose();
            b.Dispose();
        }
    }
}
