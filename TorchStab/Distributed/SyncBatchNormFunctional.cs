using TorchStab.Dispatch;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// Batch normalization over the batches of all ranks. With nᵣ, μᵣ and σᵣ² (biased) of each rank's values and N = Σnᵣ:
/// μ = Σ nᵣμᵣ/N and σ² = Σ nᵣ(σᵣ² + (μᵣ − μ)²)/N, which keeps its precision with a large mean, unlike E[x²] − E[x]².
/// </summary>
internal static class SyncBatchNormFunctional
{
    /// <summary>Mean and biased variance of each channel over all ranks, in float64 on the CPU, and N; the same bits on every rank.</summary>
    public static (Tensor Mean, Tensor Variance, long Count) Statistics(ProcessGroup group, Tensor input)
    {
        long channels = input.size(1);
        long[] counts = group.Agree(new(CallKind.Statistics, channels, Free: BatchNormCheck.ValuesPerChannel(input)));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var all = group.Gather(Local(input, channels));
        double total = Math.Max(1, counts.Sum());
        var share = tensor(Array.ConvertAll(counts, n => n / total), device: CPU).unsqueeze(1);
        var (means, variances) = (all.select(1, 0), all.select(1, 1));
        // The second sum corrects the first one: with a large mean, its rounding error is as large as a small deviation.
        var shift = (means * share).sum(dim: 0);
        var mean = shift + ((means - shift) * share).sum(dim: 0);
        var variance = ((variances + (means - mean).square()) * share).sum(dim: 0);
        return (mean.MoveToOuterDisposeScope(), variance.MoveToOuterDisposeScope(), counts.Sum());
    }

    /// <summary>y = (x − μ)/√(σ² + eps)·weight + bias, recorded for autograd with the gradient through μ and σ² of all ranks.</summary>
    public static Tensor Normalize(ProcessGroup group, Tensor input, Tensor mean, Tensor variance, long count, Tensor? weight, Tensor? bias, double eps)
    {
        using var scope = NewDisposeScope();
        Tensor output;
        using (no_grad())
            output = input.numel() == 0 ? empty_like(input)
                : BatchNormFunctional.Evaluate(input, mean.to(input.device), variance.to(input.device), weight, bias, eps);
        return group.Normalization.Record(output, input, weight, bias, SyncBatchNormNode.Keep(mean, variance, count, eps)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The gradients that are wanted, from sums over the ranks that are part of the graph, for second derivatives. The caller's scope owns intermediate
    /// tensors.
    /// </summary>
    public static (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        RankSumNode ranks, NodeState state, Tensor gradient, Tensor input, double count, Tensor? weight, double eps)
    {
        var x = input.to(ScalarType.Float64);
        var centred = x - Mean(x);
        var rstd = (Mean(centred.square()) + eps).rsqrt();
        var standardized = centred * rstd;
        return NormGradient.Of(state, gradient, standardized, input, weight, ChannelDims.Shape(input),
            d => (d - Mean(d) - (standardized * Mean(d * standardized))) * rstd);

        Tensor Mean(Tensor values) => SyncBatchNormNode.Channels(ranks.Sum(SyncBatchNormNode.Sum(values).cpu()) / count, x);
    }

    // (2, C): means and biased variances of this rank; zeros, which get weight 0, if it has no values.
    private static Tensor Local(Tensor input, long channels)
    {
        if (input.numel() == 0) return zeros(2, channels, ScalarType.Float64, CPU);
        // In double: the rounding error of a float32 mean may be as large as a small deviation.
        var moments = BatchNormFunctional.Statistics(input.detach().to(ScalarType.Float64), null, eps: 1);
        return stack([moments.Mean.flatten(), moments.Variance.flatten()]).to(CPU);
    }
}
