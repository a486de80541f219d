using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Batch normalization: y = (x − mean)/√(var + eps)·weight + bias, channel by channel (dimension 1).
/// On any device and dtype as tensor operations, differentiable any number of times; by kernel where one takes the case.
/// </summary>
internal static class BatchNormFunctional
{
    /// <summary>
    /// Checks the arguments, normalizes in one form, and takes the batch into the running statistics once everything else has succeeded: a call that
    /// fails leaves them as they were.
    /// </summary>
    /// <returns>Input's shape, dtype and memory format, never the input itself.</returns>
    public static Tensor Apply(in ChannelNormArguments a)
    {
        ArgumentNullException.ThrowIfNull(a.Input, "input");
        a.Running.RequireCounter();
        if (a.Exchange is { } ranks) return ranks.Train(a);
        BatchNormCheck.Arguments(a);
        if (a.Input.numel() == 0)
        {
            var empty = Empty(a);
            if (a.Training) a.Running.CountBatch(); // as PyTorch does
            return empty;
        }
        if (!a.Training) return Evaluate(a);
        if (a.Mask is null) return Train(a, BatchNormCheck.ValuesPerChannel(a.Input), counts: null);
        using var scope = NewDisposeScope();
        var counts = MaskCount(a.Input, a.Mask);
        return Train(a, counts.min().to(ScalarType.Float64).item<double>(), counts).MoveToOuterDisposeScope();
    }

    /// <summary>The form of a call's maths: masks and renormalization have no kernel.</summary>
    public static NormForm FormOf(in ChannelNormArguments a) => (a.Training ? a.Mask is null && !a.IsRenormalized : a.Running.TakeKernel)
        ? KernelSelection.FormOfChannels(a.Input, a.Weight, a.Bias) : NormForm.TensorOps;

    /// <summary>
    /// Normalizes with the batch's own statistics, each value counted as often as the mask says. Returns the output and, of shape (C) in the accumulation
    /// type and without gradient, the mean and the biased variance.
    /// </summary>
    public static BatchNormResult Normalize(in ChannelNormArguments a, NormForm form)
    {
        if (form == NormForm.Kernel)
        {
            using var state = BatchNormNode.Begin(a);
            long[] shape = [state.Middle];
            if (BatchNormNode.Train(state, a.Relu) is { } output)
                return new(output, ChannelStatistics.ToTensor(state.Means, shape, a.Input), ChannelStatistics.ToTensor(state.Variances, shape, a.Input));
        }
        using var scope = NewDisposeScope();
        var moments = Statistics(a.Input, a.Mask, a.Eps);
        var y = Output(Affine(moments.Centred, moments.InverseDeviation, a.Weight, a.Bias), a.Input, a.Relu);
        return new(y.MoveToOuterDisposeScope(), PerChannel(moments.Mean).MoveToOuterDisposeScope(), PerChannel(moments.Variance).MoveToOuterDisposeScope());
    }

    /// <summary>The moments of each channel; intermediate tensors are the caller's.</summary>
    public static Moments Statistics(Tensor input, Tensor? mask, double eps)
    {
        var x = Wide(input);
        return mask is null ? Moments.Over(x, ChannelDims.OfStatistics(input), eps) : Moments.Over(x, ChannelDims.OfStatistics(input), eps, mask);
    }

    /// <summary>Normalizes with the running statistics, through which no gradient passes; the arguments are checked and not empty.</summary>
    public static Tensor Evaluate(in ChannelNormArguments a)
    {
        if (a.Mask is not null) return EvaluateMasked(a);
        var (mean, variance) = (a.Running.Mean!, a.Running.Variance!);
        if (FormOf(a) == NormForm.Kernel)
        {
            using var state = BatchNormNode.Begin(a);
            if (BatchNormNode.Evaluate(state, mean, variance, a.Relu) is { } output) return output;
        }
        using var scope = NewDisposeScope();
        var x = DifferenceHolds(mean) ? Wide(a.Input) : a.Input.to(ScalarType.Float64);
        var inverse = (Wide(variance.detach()) + a.Eps).rsqrt(); // before it meets x: float32 does not hold every variance in float64
        var centred = x - ChannelDims.Broadcast(mean.detach(), x);
        // In two steps: a mean rounded to x's dtype may be as far off as a small deviation.
        if (mean.dtype == ScalarType.Float64 && x.dtype != ScalarType.Float64) centred = centred - ChannelDims.Broadcast(mean.detach() - mean.detach().to(x.dtype), x);
        return Output(Affine(centred, ChannelDims.Broadcast(inverse, x), a.Weight, a.Bias), a.Input, a.Relu).MoveToOuterDisposeScope();
    }

    /// <summary>The output for an input without elements; its gradients are zeros, not absent.</summary>
    public static Tensor Empty(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        var output = a.Input.clone();
        if (a.Weight is not null) output = output * a.Weight.sum().to(a.Input.dtype);
        if (a.Bias is not null) output = output + a.Bias.sum().to(a.Input.dtype);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>centred·inverse·weight + bias in the accumulation type; weight and bias of shape (C).</summary>
    public static Tensor Affine(Tensor centred, Tensor inverse, Tensor? weight, Tensor? bias)
    {
        // Standardized first: inverse · weight may leave the range where the output does not, and so may the sum of gradient · centred.
        var output = centred * inverse;
        if (weight is not null) output = output * ChannelDims.Broadcast(weight, centred);
        return bias is null ? output : output + ChannelDims.Broadcast(bias, centred);
    }

    // A channel has at least so many values; under a mask each has its own count.
    private static Tensor Train(in ChannelNormArguments a, double count, Tensor? counts)
    {
        var form = FormOf(a);
        bool direct = form == NormForm.Kernel && a.Running.TakeKernel;
        if (!direct) a.Running.RequireWritable(a.Input);
        if (count <= 1) return a.MayFallBack ? Evaluate(a with { Training = false }) : throw BatchNormCheck.TooFewValues(a.Input, a.Running.Exist, masked: true);
        if (direct && TrainByKernel(a, count) is { } output) return output;
        using var batch = a.IsRenormalized ? BatchRenormFunctional.Normalize(a) : Normalize(a, direct ? NormForm.TensorOps : form);
        if (counts is null) a.Running.Update(batch.Mean, batch.Variance, count);
        else a.Running.Update(batch.Mean, batch.Variance, counts);
        return batch.Output;
    }

    // Nothing but the output becomes a tensor: what a small batch costs is mostly tensors. Null where the values are too large or too small for a kernel.
    private static Tensor? TrainByKernel(in ChannelNormArguments a, double count)
    {
        using var state = BatchNormNode.Begin(a);
        if (BatchNormNode.Train(state, a.Relu) is not { } output) return null;
        a.Running.Update(state.Means, state.Variances, count);
        return output;
    }

    private static Tensor EvaluateMasked(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        return Evaluate(a with { Input = Moments.Clean(a.Input, a.Mask!.ne(0)), Mask = null }).MoveToOuterDisposeScope();
    }

    // The weight of each channel's values under a mask, counted after broadcasting; shape (C).
    private static Tensor MaskCount(Tensor input, Tensor mask) =>
        mask.detach().to(Moments.Accumulator(input)).expand(input.shape).sum(ChannelDims.OfStatistics(input));

    private static Tensor Wide(Tensor input) => input.to(Moments.Accumulator(input));

    // Whether x − mean is finite for every finite x. To look on another device would be to wait for it.
    private static bool DifferenceHolds(Tensor mean) =>
        !KernelSelection.IsOnCpu(mean) || mean.numel() == 0 || !(mean.detach().abs().amax().to(ScalarType.Float64).item<double>() > float.MaxValue / 2);

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

/// <summary>What normalizing with a batch's statistics gives; disposing it leaves the output.</summary>
/// <param name="Output">The caller's.</param>
/// <param name="Mean">Of each channel.</param>
/// <param name="Variance">Of each channel, biased.</param>
internal readonly record struct BatchNormResult(Tensor Output, Tensor Mean, Tensor Variance) : IDisposable
{
    public void Dispose()
    {
        Mean.Dispose();
        Variance.Dispose();
    }
}
