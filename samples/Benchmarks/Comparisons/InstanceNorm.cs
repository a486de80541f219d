using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>InstanceNorm2d, forward and backward.</summary>
internal sealed class InstanceNorm : NormComparison
{
    public override string Name => nameof(InstanceNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in new long[][] { [4, 64, 8, 8], [16, 256, 14, 14], [8, 64, 128, 128] })
        {
            var theirs = nn.InstanceNorm2d(shape[1]);
            var ours = stab.nn.InstanceNorm2d(shape[1]);
            yield return Training(string.Join('×', shape), theirs.forward, ours.forward, Parameters.Of(theirs, ours), shape, 1.1, 2);
        }
    }
}
