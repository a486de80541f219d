using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>RMSNorm of rows; TorchSharp has none, so the baseline is the equation in its tensor operations.</summary>
public class RMSNormBenchmark : NormBenchmark
{
    private const float Epsilon = 1.1920929e-7f;

    public override IEnumerable<string> Shapes => ["32×64", "256×768", "512×4096", "4096×1024"];

    private protected override (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape) =>
        (stab.nn.RMSNorm(shape[1]), stab.nn.RMSNorm(shape[1]));

    private protected override Tensor Libtorch(nn.Module<Tensor, Tensor> module, Tensor x)
    {
        using var scope = NewDisposeScope();
        var scale = ((x * x).mean([-1], keepdim: true) + Epsilon).rsqrt();
        return (x * scale * module.get_parameter("weight")!).MoveToOuterDisposeScope();
    }
}
