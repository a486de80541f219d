using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>LayerNorm of rows.</summary>
public class LayerNormBenchmark : NormBenchmark
{
    public override IEnumerable<string> Shapes => ["32×64", "256×768", "512×4096", "4096×1024"];

    private protected override (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape) =>
        (nn.LayerNorm(shape[1]), stab.nn.LayerNorm(shape[1]));
}
