using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>BatchNormReLU2d in training against BatchNorm2d and then <c>relu_</c>.</summary>
internal sealed class BatchNormReLU : NormComparison
{
    public override string Name => nameof(BatchNormReLU);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in BatchNorm.Shapes)
        {
            var theirs = nn.BatchNorm2d(shape[1]);
            var ours = stab.nn.BatchNormReLU2d(shape[1]);
            yield return Training(string.Join('×', shape), x => theirs.forward(x).relu_(), ours.forward, Parameters.Of(theirs, ours), shape, 1.5, 3);
        }
    }
}
