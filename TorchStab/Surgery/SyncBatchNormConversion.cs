using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>convert_sync_batchnorm_: exchanges all BatchNorms of a model or none, because one that remains would train on this rank's batches only.</summary>
internal static class SyncBatchNormConversion
{
    public static SurgeryReport Convert(nn.Module model, ICollective? process_group)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (BatchNormArguments.Of(model) is not null)
            throw new ArgumentException(
                $"the model is itself a {NormNames.Of(model)}, and no model around it could hold another one; make a stab.nn.SyncBatchNorm instead",
                nameof(model));
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
        {
            if (BatchNormArguments.Of(node.Module) is not { } norm || node.Module is SyncBatchNorm) continue;
            if (node.Module is BatchNormReLU or BatchRenorm) plan.Refuse(node, "it is more than a BatchNorm; write BatchNorm (and ReLU) in its place");
            else plan.TryReplace(node, typeof(SyncBatchNorm), NormNames.Of(typeof(SyncBatchNorm)), () => Twin(node.Module, norm, process_group));
        }
        UnreachableNorms.List(plan, null, BatchNormView.IsBatchNorm);
        if (plan.Refusals.Count > 0)
            throw new InvalidOperationException(
                $"the model is unchanged, because not every BatchNorm can be exchanged:\n{new SurgeryReport([], plan.Refusals)}");
        return plan.Commit(NormSwap.Transfer);
    }

    private static SyncBatchNorm Twin(nn.Module norm, BatchNormArguments a, ICollective? process_group)
    {
        var twin = new SyncBatchNorm(a.Channels, a.Eps, a.Momentum, a.Affine, a.Track, process_group, null, null);
        NormState.Of(norm).PutInto(twin);
        twin.train(norm.training);
        return twin;
    }
}
