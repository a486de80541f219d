using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// LayerNorm over the channels of an image, forward and backward, against libtorch's LayerNorm on the permuted tensor, permuted back. Both sides keep the
/// layout of the input.
/// </summary>
internal sealed class LayerNorm2d : NormComparison
{
    /// <summary>ConvNeXt's stages after a small one.</summary>
    private static readonly long[][] Shapes = [[4, 64, 8, 8], [32, 768, 7, 7], [32, 384, 14, 14], [32, 192, 28, 28], [32, 96, 56, 56]];

    public override string Name => nameof(LayerNorm2d);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in Shapes) yield return Case(string.Join('×', shape), shape, channelsLast: false);
        foreach (long[] shape in Shapes[1..4]) yield return Case($"{string.Join('×', shape)}, channels_last", shape, channelsLast: true);
    }

    private static Pair Case(string name, long[] shape, bool channelsLast)
    {
        var theirs = nn.LayerNorm(shape[1], eps: 1e-6);
        var ours = stab.nn.LayerNorm2d(shape[1]);
        return Training(name, Permuted, ours.forward, Parameters.Of(theirs, ours), shape, 1, 2, channelsLast);

        Tensor Permuted(Tensor x)
        {
            using var scope = NewDisposeScope();
            var y = theirs.forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2);
            return (channelsLast ? y : y.contiguous()).MoveToOuterDisposeScope();
        }
    }
}
