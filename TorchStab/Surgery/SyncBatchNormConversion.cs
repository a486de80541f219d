using TorchStab.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>convert_sync_batchnorm_: exchanges all BatchNorms of a model or none, because one that remains would train on this rank's batches only.</summary>
internal static class SyncBatchNormConversion
{
    public static SurgeryReport Convert(nn.Module model, ICollective? process_group)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (BatchNormView.IsBatchNorm(model))
            throw new ArgumentException(
                $"the model is itself a {NormNames.Of(model)}, and no model around it could hold another one; make a stab.nn.SyncBatchNorm instead",
                nameof(model));
        var plan = new SurgeryPlan(model);
        foreach (var node in plan.Nodes)
        {
            if (!BatchNormView.IsBatchNorm(node.Module) || node.Module is SyncBatchNorm) continue;
            if (node.Module is BatchNormReLU or BatchRenorm) plan.Refuse(node, "it is more than a BatchNorm; write BatchNorm (and ReLU) in its place");
            else plan.TryReplace(node, typeof(SyncBatchNorm), NormNames.Of(typeof(SyncBatchNorm)), () => Twin(node.Module, process_group));
        }
        UnreachableNorms.List(plan, null, BatchNormView.IsBatchNorm);
        if (plan.Refusals.Count > 0)
            throw new InvalidOperationException(
                $"the model is unchanged, because not every BatchNorm can be exchanged:\n{new SurgeryReport([], plan.Refusals)}");
        return plan.Commit(NormSwap.Transfer);
    }

    private static SyncBatchNorm Twin(nn.Module norm, ICollective? process_group)
    {
        var twin = new SyncBatchNorm(NormSpec.Of(norm)!, process_group);
        NormState.Of(norm).PutInto(twin);
        twin.train(norm.training);
        return twin;
    }
}
