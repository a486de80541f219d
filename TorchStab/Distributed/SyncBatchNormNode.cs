using TorchStab.Dispatch;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// The backward pass of SyncBatchNorm. With x̂ = (x − μ)/√(σ² + eps) and the sums of dy and dy·(x − μ) over all ranks' values:
/// dx = (dy − Σdy/N − (x − μ)/(σ² + eps)·Σdy(x − μ)/N)·weight/√(σ² + eps); dweight and dbias are this rank's own sums.
/// </summary>
internal sealed class SyncBatchNormNode(ProcessGroup group) : TensorOp
{
    private readonly RankSumNode _sum = new(group);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        var (_, _, count, eps) = Kept(state);
        return SyncBatchNormFunctional.BackwardInTensorOps(_sum, state, outputGradient, input, count, weight, eps);
    }

    /// <inheritdoc/>
    protected override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight)
    {
        var dtype = Moments.Accumulator(input);
        var (mean, inverse, count, _) = Kept(state);
        var dy = outputGradient.to(dtype);
        var centred = Centred(input.to(dtype), mean);
        var sums = stack([Sum(dy), Sum(dy * centred)]).to(ScalarType.Float64, CPU);
        var dweight = state.WeightWanted ? (sums[1] * inverse).to(weight!.dtype, weight.device) : null;
        // A copy of this rank's sum, which the exchange overwrites.
        var dbias = state.BiasWanted ? sums[0].to(weight?.dtype ?? input.dtype, input.device, copy: true) : null;
        if (!state.InputWanted) return (null, dweight, dbias);
        group.Exchange(new(CallKind.StatisticsGradient, mean.numel()), sums);
        var scale = Channels(weight is null ? inverse : inverse * weight.to(ScalarType.Float64, CPU), dy);
        var dx = (dy - Channels(sums[0] / count, dy) - centred * Channels(sums[1] / count * inverse.square(), dy)) * scale;
        return (dx.to(input.dtype), dweight, dbias);
    }

    /// <summary>The numbers that the backward pass needs, in the order in which <see cref="Kept(NodeState)"/> reads them.</summary>
    public static double[] Keep(Tensor mean, Tensor variance, long count, double eps) =>
        [.. mean.data<double>(), .. (variance + eps).rsqrt().data<double>(), Math.Max(1, count), eps];

    /// <summary>The sum over each channel.</summary>
    public static Tensor Sum(Tensor x) => x.sum(ChannelDims.OfStatistics(x));

    /// <summary>Statistics of the channels, from the CPU, in a shape that broadcasts over x.</summary>
    public static Tensor Channels(Tensor perChannel, Tensor x) => ChannelDims.Broadcast(perChannel.to(x.device), x);

    private static (Tensor Mean, Tensor Inverse, double Count, double Eps) Kept(NodeState state)
    {
        int channels = CountOf(state);
        return (tensor(state.Kept[..channels].ToArray(), device: CPU), tensor(state.Kept[channels..^2].ToArray(), device: CPU), state.Kept[^2], state.Kept[^1]);
    }

    private static int CountOf(NodeState state) => (state.Kept.Length - 2) / 2;

    // Subtracts the rounded mean and its rounding error: in x's dtype, that error may be as large as a small deviation.
    private static Tensor Centred(Tensor x, Tensor mean)
    {
        var rounded = mean.to(x.dtype);
        return x - Channels(rounded, x) - Channels(mean - rounded, x);
    }
}
