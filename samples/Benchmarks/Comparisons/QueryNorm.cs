using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// Queries or keys of an attention layer through RMSNorm: (B, T, H, D) before the heads are brought forward, against (B, H, T, D) after that.
/// </summary>
internal sealed class QueryNorm : NormComparison
{
    public override string Name => nameof(QueryNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (var (batch, steps, heads, width) in new (long, long, long, long)[] { (4, 128, 4, 32), (8, 256, 6, 64) })
        {
            var norm = stab.nn.RMSNorm(width);
            yield return Training($"{batch}×{steps}×{heads}×{width} (after the transposition)", After, Before, Parameters.Of(norm, norm),
                [batch, steps, heads, width], 1, 2);

            Tensor After(Tensor x)
            {
                using var heads = x.transpose(1, 2);
                using var y = norm.forward(heads);
                return y.transpose(1, 2);
            }

            Tensor Before(Tensor x) => norm.forward(x); // a transposition of the result would cost nothing
        }
    }
}
