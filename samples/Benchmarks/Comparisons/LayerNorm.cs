using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>LayerNorm of rows, forward and backward.</summary>
internal sealed class LayerNorm : NormComparison
{
    /// <summary>From this size on the default allocator's page faults rule both sides.</summary>
    private const long LargeBytes = 16 << 20;

    public override string Name => nameof(LayerNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (var (rows, columns) in new (long, long)[] { (32, 64), (128, 256), (256, 768), (1024, 768), (512, 4096), (4096, 1024), (12608, 768) })
        {
            var theirs = nn.LayerNorm(columns);
            var ours = stab.nn.LayerNorm(columns);
            double atLeast = rows * columns * sizeof(float) >= LargeBytes ? 1 : 1.05;
            yield return Training($"{rows}×{columns}", theirs.forward, ours.forward, Parameters.Of(theirs, ours), [rows, columns], atLeast, 1.5);
        }
    }
}
