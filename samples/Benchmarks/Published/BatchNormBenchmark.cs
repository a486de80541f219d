using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>BatchNorm2d in training.</summary>
public class BatchNormBenchmark : NormBenchmark
{
    public override IEnumerable<string> Shapes => ["4×8×5×5", "64×512×7×7", "64×256×14×14", "32×64×56×56"];

    private protected override (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape) =>
        (nn.BatchNorm2d(shape[1]), stab.nn.BatchNorm2d(shape[1]));
}
