using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>GroupNorm with 32 groups, forward and backward.</summary>
internal sealed class GroupNorm : NormComparison
{
    private const long NumGroups = 32;

    public override string Name => nameof(GroupNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in new long[][] { [4, 64, 8, 8], [16, 256, 14, 14], [32, 64, 56, 56] })
        {
            var theirs = nn.GroupNorm(NumGroups, shape[1]);
            var ours = stab.nn.GroupNorm(NumGroups, shape[1]);
            nn.init.ones_(theirs.weight); // TorchSharp leaves them as they were in memory
            nn.init.zeros_(theirs.bias);
            yield return Training(string.Join('×', shape), theirs.forward, ours.forward, Parameters.Of(theirs, ours), shape, 1.1, 2);
        }
    }
}
