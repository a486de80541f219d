using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>BatchNormReLU2d against BatchNorm2d and then <c>relu_</c>.</summary>
public class BatchNormReLUBenchmark : NormBenchmark
{
    public override IEnumerable<string> Shapes => ["4×8×5×5", "64×512×7×7", "64×256×14×14", "32×64×56×56"];

    private protected override (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape) =>
        (nn.BatchNorm2d(shape[1]), stab.nn.BatchNormReLU2d(shape[1]));

    private protected override Tensor Libtorch(nn.Module<Tensor, Tensor> module, Tensor x) => module.forward(x).relu_();
}
