using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>RMSNorm, which libtorch's side has not: the kernel against the tensor-op form.</summary>
internal sealed class RMSNorm : NormComparison
{
    public override string Name => nameof(RMSNorm);

    protected override IEnumerable<Pair> Norms()
    {
        foreach (var (rows, columns) in new (long, long)[] { (32, 64), (256, 768), (512, 4096), (4096, 1024) })
        {
            var norm = stab.nn.RMSNorm(columns);
            yield return Training($"{rows}×{columns} (tensor-op form)", InTensorOps, norm.forward, Parameters.Of(norm, norm), [rows, columns], 4, 10);

            Tensor InTensorOps(Tensor x)
            {
                var mode = KernelSelection.Mode;
                KernelSelection.Mode = KernelMode.Off;
                var y = norm.forward(x);
                KernelSelection.Mode = mode;
                return y;
            }
        }
    }
}
