using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>GroupNorm of 32 groups.</summary>
public class GroupNormBenchmark : NormBenchmark
{
    public override IEnumerable<string> Shapes => ["4×64×8×8", "16×256×14×14", "32×64×56×56"];

    private protected override (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape) =>
        (Theirs(shape[1]), stab.nn.GroupNorm(Groups, shape[1]));

    private const long Groups = 32;

    // TorchSharp leaves the parameters as they were in memory.
    private static TorchSharp.Modules.GroupNorm Theirs(long channels)
    {
        var norm = nn.GroupNorm(Groups, channels);
        nn.init.ones_(norm.weight);
        nn.init.zeros_(norm.bias);
        return norm;
    }
}
