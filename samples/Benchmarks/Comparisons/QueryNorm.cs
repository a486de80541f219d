using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Queries or keys of an attention layer through RMSNorm: (B, T, H, D) before the heads are brought forward, against (B, H, T, D) after that.</summary>
internal sealed class QueryNorm : NormComparison
{
    public override string Name => nameof(QueryNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (var (batch, steps, heads, width) in new (long, long, long, long)[] { (4, 128, 4, 32), (8, 256, 6, 64) })
        {
            var norm = stab.nn.RMSNorm(width);
            yield return Training($"{batch}×{steps}×{heads}×{width} (after the transposition)", After, Before, Parameters.Of(norm, norm), [batch, steps, heads, width], 2, 5);

            Tensor After(Tensor x)
            {
                using var heads = x.transpose(1, 2);
                return norm.forward(heads);
            }

            Tensor Before(Tensor x)
            {
                using var y = norm.forward(x);
                return y.transpose(1, 2);
            }
        }
    }
}
