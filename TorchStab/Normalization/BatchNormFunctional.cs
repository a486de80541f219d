using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Batch normalization: y = (x − mean)/√(var + eps)·weight + bias, channel by channel (dimension 1).
/// On any device and dtype as tensor operations, differentiable any number of times; nothing here writes to an argument.
/// </summary>
/// <remarks>
/// Every module and functional computes through <see cref="Normalize(Tensor, Tensor?, Tensor?, double, bool)"/> (batch statistics) and
/// <see cref="Evaluate"/> (given statistics), with arguments already checked and input not empty; both go to a kernel where one takes
/// the case.
/// </remarks>
internal static class BatchNormFunctional
{
    /// <summary>
    /// Normalizes with the batch's own statistics. Returns the output (input's dtype and memory format, never the input itself) and,
    /// of shape (C) in the accumulation type and without gradient, the mean and the biased variance.
    /// </summary>
    public static (Tensor Output, Tensor Mean, Tensor Variance) Normalize(Tensor input, Tensor? weight, Tensor? bias, double eps, bool relu = false)
    {
        if (!KernelSelection.TakesChannels(input, weight, bias)) return NormalizeInTensorOps(input, weight, bias, eps, relu);
        using var state = BatchNormNode.Begin(input, weight, bias, eps, relu);
        if (BatchNormNode.Train(state, relu) is not { } output) return NormalizeInTensorOps(input, weight, bias, eps, relu);
        long[] shape = [state.Middle];
        return (output, ChannelStatistics.ToTensor(state.Means, shape, input), ChannelStatistics.ToTensor(state.Variances, shape, input));
    }

    /// <summary>The equation in tensor operations.</summary>
    public static (Tensor Output, Tensor Mean, Tensor Variance) NormalizeInTensorOps(Tensor input, Tensor? weight, Tensor? bias, double eps, bool relu)
    {
        using var scope = NewDisposeScope();
        return Finish(input, Statistics(input, null, eps), weight, bias, relu);
    }

    /// <summary>
    /// The same with each value counted <paramref name="mask"/> times (bool, or weights ≥ 0; broadcast to input) and every value
    /// normalized. Without a mask it is the plain form.
    /// </summary>
    public static (Tensor Output, Tensor Mean, Tensor Variance) Normalize(
        Tensor input, Tensor? mask, Tensor? weight, Tensor? bias, double eps, bool relu)
    {
        if (mask is null) return Normalize(input, weight, bias, eps, relu);
        using var scope = NewDisposeScope();
        return Finish(input, Statistics(input, mask, eps), weight, bias, relu);
    }

    /// <summary>
    /// The moments of each channel, as <see cref="Normalize(Tensor, Tensor?, Tensor?, Tensor?, double, bool)"/> takes them; intermediate tensors are the
    /// caller's.
    /// </summary>
    public static Moments Statistics(Tensor input, Tensor? mask, double eps)
    {
        var x = Wide(input);
        return mask is null ? Moments.Over(x, ChannelDims.OfStatistics(input), eps) : Moments.Over(x, ChannelDims.OfStatistics(input), eps, mask);
    }

    /// <summary>Normalizes with given statistics of shape (C), through which no gradient passes.</summary>
    public static Tensor Evaluate(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps, bool relu = false)
    {
        bool kernel = KernelSelection.TakesChannels(input, weight, bias) && KernelSelection.TakesStatistics(mean) && KernelSelection.TakesStatistics(variance);
        if (!kernel) return EvaluateInTensorOps(input, mean, variance, weight, bias, eps, relu);
        using var state = BatchNormNode.Begin(input, weight, bias, eps, relu);
        return BatchNormNode.Evaluate(state, mean, variance, relu);
    }

    /// <summary>The equation with given statistics in tensor operations.</summary>
    public static Tensor EvaluateInTensorOps(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps, bool relu)
    {
        using var scope = NewDisposeScope();
        var x = Wide(input);
        var inverse = (Wide(variance.detach()) + eps).rsqrt(); // before it meets x: float32 does not hold every variance in float64
        var centred = x - ChannelDims.Broadcast(mean.detach(), x);
        // In two steps: a mean rounded to x's dtype may be as far off as a small deviation.
        if (mean.dtype == ScalarType.Float64 && x.dtype != ScalarType.Float64) centred = centred - ChannelDims.Broadcast(mean.detach() - mean.detach().to(x.dtype), x);
        var y = Affine(centred, ChannelDims.Broadcast(inverse, x), weight, bias);
        return Output(y, input, relu).MoveToOuterDisposeScope();
    }

    /// <summary>The weight of each channel's values under a mask, counted after broadcasting; shape (C).</summary>
    public static Tensor MaskCount(Tensor input, Tensor mask)
    {
        using var scope = NewDisposeScope();
        var weights = mask.detach().to(Moments.Accumulator(input)).expand(input.shape);
        return weights.sum(ChannelDims.OfStatistics(input)).MoveToOuterDisposeScope();
    }

    /// <summary>The output for an input without elements; its gradients are zeros, not absent.</summary>
    public static Tensor Empty(Tensor input, Tensor? weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var output = input.clone();
        if (weight is not null) output = output * weight.sum().to(input.dtype);
        if (bias is not null) output = output + bias.sum().to(input.dtype);
        return output.MoveToOuterDisposeScope();
    }

    // For the scope of the caller: what is returned goes to the scope around it.
    private static (Tensor Output, Tensor Mean, Tensor Variance) Finish(
        Tensor input, Moments moments, Tensor? weight, Tensor? bias, bool relu)
    {
        var output = Output(Affine(moments.Centred, moments.InverseDeviation, weight, bias), input, relu);
        return (output.MoveToOuterDisposeScope(), PerChannel(moments.Mean).MoveToOuterDisposeScope(), PerChannel(moments.Variance).MoveToOuterDisposeScope());
    }

    private static Tensor Wide(Tensor input) => input.to(Moments.Accumulator(input));

    /// <summary>centred·inverse·weight + bias in the accumulation type; weight and bias of shape (C).</summary>
    public static Tensor Affine(Tensor centred, Tensor inverse, Tensor? weight, Tensor? bias)
    {
        var scale = weight is null ? inverse : inverse * ChannelDims.Broadcast(weight, centred);
        var output = centred * scale;
        return bias is null ? output : output + ChannelDims.Broadcast(bias, centred);
    }

    // What a caller gets: rounded once to input's dtype, in the memory format PyTorch gives it.
    private static Tensor Output(Tensor y, Tensor input, bool relu)
    {
        // Not relu(): it would save its result, which the caller may change in place.
        if (relu) y = y.masked_fill(y.detach().le(0), 0);
        y = y.to(input.dtype);
        return input.is_contiguous() ? y.contiguous() : MemoryLayout.Suggested(y, input);
    }

    private static Tensor PerChannel(Tensor statistic) => statistic.detach().flatten();
}
