using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>y = Σx over the ranks, on all ranks. Its gradient is the sum of the ranks' gradients, so each derivative is such a sum again.</summary>
internal sealed class RankSumNode(ProcessGroup group) : LinearOp
{
    /// <summary>Sums statistics of channels in float64 on the CPU. All ranks must take the same derivatives of it.</summary>
    public Tensor Sum(Tensor x)
    {
        Tensor sum;
        using (no_grad())
        {
            sum = x.detach().cpu().to(ScalarType.Float64, copy: true).contiguous();
            group.Exchange(new(CallKind.StatisticsGradient, x.numel()), sum);
        }
        return Record(sum, x, null, null, []);
    }

    /// <inheritdoc/>
    protected override Tensor Transpose(NodeState state, Tensor outputGradient) => Sum(outputGradient);
}
