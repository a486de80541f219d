using TorchStab.Distributed;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Batch normalization with the statistics of all ranks' batches together, forward and backward: equal to <see cref="BatchNorm"/> in one process with
/// the whole batch, however the batch is split. As <c>torch.nn.SyncBatchNorm</c>. The state dict is that of BatchNorm.
/// </summary>
/// <remarks>
/// In training every rank must take part in every forward pass, with an empty batch if it has no data, and in every backward pass. If the loss of one
/// rank does not depend on the output (because it leaves out an empty batch, for example), all ranks raise an error. In eval mode, with a single rank and
/// before <c>init_process_group</c> it is a BatchNorm, and nothing is exchanged. Second derivatives (<c>create_graph</c>) are exchanged too; all ranks must
/// take the same ones in the same order.
/// </remarks>
public sealed class SyncBatchNorm : BatchNorm
{
    internal SyncBatchNorm(NormSpec spec, ICollective? process_group) : base(nameof(SyncBatchNorm), spec) => this.process_group = process_group;

    /// <summary>The ranks that share statistics; null: all ranks of <c>init_process_group</c>.</summary>
    public ICollective? process_group { get; }

    private protected override void CheckRank(Tensor input)
    {
        if (input.dim() < 2) throw new ArgumentException($"expected at least 2D input (got {input.dim()}D input)", nameof(input));
        if (input.size(1) == 0) throw new ArgumentException("SyncBatchNorm number of input channels should be non-zero", nameof(input));
    }

    private protected override IBatchNormExchange? Exchange()
    {
        var group = process_group is null ? ProcessGroups.Current : ProcessGroups.Of(process_group);
        return training && group is { IsAlone: false } ? group.Normalization : null;
    }
}
