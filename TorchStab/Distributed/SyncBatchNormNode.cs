using TorchStab.Dispatch;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// The backward pass of SyncBatchNorm. With x̂ = (x − μ)/√(σ² + eps) and the sums of dy and dy·x̂ over all ranks' values:
/// dx = (dy − Σdy/N − x̂·Σdy·x̂/N)·weight/√(σ² + eps); dweight and dbias are this rank's own sums.
/// </summary>
internal sealed class SyncBatchNormNode(ProcessGroup group) : TensorOp
{
    private readonly RankSumNode _sum = new(group);

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(
        NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias)
    {
        var (_, _, count, eps) = SavedNumbers(state);
        return SyncBatchNormFunctional.BackwardInTensorOps(_sum, state, outputGradient, input, count, weight, eps);
    }

    /// <inheritdoc/>
    protected override (Tensor? Input, Tensor? Weight, Tensor? Bias) Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight)
    {
        var (mean, inverse, count, _) = SavedNumbers(state);
        var (dy, standardized, sums) = Sums(Moments.Accumulator(input));
        if (!sums.isfinite().all().item<bool>()) (dy, standardized, sums) = Sums(KernelSelection.WideDtype(input)); // float32 may have overflowed on the way
        var dweight = state.WeightWanted ? sums[1].to(weight!.dtype, weight.device, copy: true) : null;
        // A copy of this rank's sum, which the exchange overwrites.
        var dbias = state.BiasWanted ? sums[0].to(weight?.dtype ?? input.dtype, input.device, copy: true) : null;
        if (!state.InputWanted) return (null, dweight, dbias);
        group.Exchange(new(CallKind.StatisticsGradient, mean.numel()), sums);
        var scale = Channels(weight is null ? inverse : inverse * weight.cpu().to(ScalarType.Float64), dy);
        var dx = (dy - Channels(sums[0] / count, dy) - standardized * Channels(sums[1] / count, dy)) * scale;
        return (dx.to(input.dtype), dweight, dbias);

        (Tensor Gradient, Tensor Standardized, Tensor Sums) Sums(ScalarType dtype)
        {
            var (gradient, x) = (outputGradient.to(dtype), Standardize(input.to(dtype), mean, inverse));
            return (gradient, x, stack([Sum(gradient), Sum(gradient * x)]).cpu().to(ScalarType.Float64));
        }
    }

    /// <summary>The numbers that the backward pass needs, in the order in which <see cref="SavedNumbers(NodeState)"/> reads them.</summary>
    public static double[] Keep(Tensor mean, Tensor variance, long count, double eps) =>
        [.. mean.data<double>(), .. (variance + eps).rsqrt().data<double>(), Math.Max(1, count), eps];

    /// <summary>The sum over each channel.</summary>
    public static Tensor Sum(Tensor x) => x.sum(ChannelDims.OfStatistics(x));

    /// <summary>Statistics of the channels, from the CPU, in a shape that broadcasts over x.</summary>
    public static Tensor Channels(Tensor perChannel, Tensor x) => ChannelDims.Broadcast(perChannel.to(x.dtype).to(x.device), x);

    private static (Tensor Mean, Tensor Inverse, double Count, double Eps) SavedNumbers(NodeState state)
    {
        int channels = CountOf(state);
        return (tensor(state.SavedNumbers[..channels].ToArray(), device: CPU), tensor(state.SavedNumbers[channels..^2].ToArray(), device: CPU),
            state.SavedNumbers[^2], state.SavedNumbers[^1]);
    }

    private static int CountOf(NodeState state) => (state.SavedNumbers.Length - 2) / 2;

    // Subtracts the rounded mean and its rounding error: in x's dtype, that error may be as large as a small deviation.
    private static Tensor Standardize(Tensor x, Tensor mean, Tensor inverse)
    {
        var rounded = mean.to(x.dtype);
        return (x - Channels(rounded, x) - Channels(mean - rounded, x)) * Channels(inverse, x);
    }
}
