using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>BatchNorm2d in training, forward and backward with the running statistics.</summary>
internal sealed class BatchNorm : NormComparison
{
    public override string Name => nameof(BatchNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in Shapes) yield return Case(string.Join('×', shape), shape, shape[3] == 7 ? 2 : 1.2, 2.5, channelsLast: false);
        foreach (long[] shape in new long[][] { [64, 512, 7, 7], [64, 128, 28, 28], [32, 64, 56, 56] })
            yield return Case($"{string.Join('×', shape)}, channels_last", shape, 1, 2, channelsLast: true);
    }

    /// <summary>From a toy to ResNet-50's stages.</summary>
    internal static readonly long[][] Shapes =
        [[4, 8, 5, 5], [64, 64, 8, 8], [64, 512, 7, 7], [64, 256, 14, 14], [64, 128, 32, 32], [32, 64, 56, 56]];

    private static Pair Case(string name, long[] shape, double atLeast, double aim, bool channelsLast)
    {
        var theirs = nn.BatchNorm2d(shape[1]);
        var ours = stab.nn.BatchNorm2d(shape[1]);
        return Training(name, theirs.forward, ours.forward, Parameters.Of(theirs, ours), shape, atLeast, aim, channelsLast);
    }
}

/// <summary>BatchNorm2d in eval mode, forward.</summary>
internal sealed class BatchNormEval : NormComparison
{
    public override string Name => "BatchNorm eval";

    protected override IEnumerable<Pair> Norms()
    {
        foreach (long[] shape in BatchNorm.Shapes)
        {
            var theirs = nn.BatchNorm2d(shape[1]);
            var ours = stab.nn.BatchNorm2d(shape[1]);
            theirs.eval();
            ours.eval();
            yield return Inference(string.Join('×', shape), theirs.forward, ours.forward, Parameters.Of(theirs, ours), shape, 0.95, 2);
        }
    }
}
