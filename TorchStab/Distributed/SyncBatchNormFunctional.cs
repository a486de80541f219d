using TorchStab.Dispatch;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// Batch normalization over the batches of all ranks. With nᵣ, μᵣ and σᵣ² (biased) of each rank's values and N = Σnᵣ:
/// μ = Σ nᵣμᵣ/N and σ² = Σ nᵣ(σᵣ² + (μᵣ − μ)²)/N, which keeps its precision with a large mean, unlike E[x²] − E[x]².
/// </summary>
internal sealed class SyncBatchNormFunctional(ProcessGroup group) : IBatchNormExchange
{
    private readonly SyncBatchNormNode _node = new(group);

    /// <inheritdoc/>
    public Tensor Train(in ChannelNormArguments a)
    {
        RequireNone(a.Mask);
        BatchNormCheck.Input(a.Input, a.Eps);
        BatchNormCheck.Tensors(a);
        using var scope = NewDisposeScope();
        a.Running.RequireWritable(a.Input);
        var (mean, variance, count) = Statistics(a.Input);
        if (count == 1) throw BatchNormCheck.TooFewValues(a.Input, a.Running.Mean is not null, masked: false);
        var output = Normalize(a, mean, variance, count);
        var (dtype, device) = (Moments.Accumulator(a.Input), a.Input.device);
        if (count > 1) a.Running.Update(mean.to(dtype, device), variance.to(dtype, device), count);
        else a.Running.CountBatch();
        return output.MoveToOuterDisposeScope();
    }

    private static void RequireNone(Tensor? mask)
    {
        if (mask is not null) throw new ArgumentException("SyncBatchNorm takes no mask; leave the padding out of the batch", nameof(mask));
    }

    // Mean and biased variance of each channel over all ranks, in float64 on the CPU, and N; the same bits on every rank.
    private (Tensor Mean, Tensor Variance, long Count) Statistics(Tensor input)
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

    // y = (x − μ)/√(σ² + eps)·weight + bias, recorded for autograd with the gradient through μ and σ² of all ranks.
    private Tensor Normalize(in ChannelNormArguments a, Tensor mean, Tensor variance, long count)
    {
        using var scope = NewDisposeScope();
        var dtype = KernelSelection.WideDtype(a.Input);
        var given = a with { Running = new(mean.to(dtype).to(a.Input.device), variance.to(dtype).to(a.Input.device)), Training = false };
        Tensor output;
        using (no_grad()) output = a.Input.numel() == 0 ? empty_like(a.Input) : BatchNormFunctional.Evaluate(given);
        return _node.Record(output, a.Input, a.Weight, a.Bias, SyncBatchNormNode.Keep(mean, variance, count, a.Eps)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The gradients that are wanted, from sums over the ranks that are part of the graph, for second derivatives. The caller's scope owns intermediate
    /// tensors.
    /// </summary>
    public static (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        RankSumNode ranks, NodeState state, Tensor gradient, Tensor input, double count, Tensor? weight, double eps)
    {
        var x = input.to(KernelSelection.WideDtype(input));
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
        var moments = BatchNormFunctional.Statistics(input.detach().to(KernelSelection.WideDtype(input)), null, eps: 1);
        return stack([moments.Mean.flatten(), moments.Variance.flatten()]).cpu().to(ScalarType.Float64);
    }
}
