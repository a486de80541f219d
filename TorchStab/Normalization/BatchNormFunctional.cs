using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Normalization;

/// <summary>
/// Batch normalization: y = (x − mean)/√(var + eps)·weight + bias, for each channel (dimension 1). The tensor
/// operations run on any device and dtype and can be differentiated any number of times; a kernel runs where it supports the arguments.
/// </summary>
internal static partial class BatchNormFunctional
{
    /// <summary>
    /// Checks the arguments, chooses a form, normalizes, and updates the running statistics last: a call that fails does not change them.
    /// </summary>
    /// <returns>A new tensor with the input's shape, dtype and memory format.</returns>
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
        return Train(a, ReadNumber(counts.min()), counts).MoveToOuterDisposeScope();
    }

    /// <summary>Chooses the form. Masks and renormalization have only tensor operations.</summary>
    public static NormForm FormOf(in ChannelNormArguments a)
    {
        if (a.Training && (a.Mask is not null || a.IsRenormalized)) return NormForm.TensorOps;
        var form = NormSelection.FormOfChannels(a.Input, a.Weight, a.Bias);
        bool reads = !a.Training || form == NormForm.NativeInFloat32; // the other forms can train without updating
        return reads && !a.Running.Take(form, a.Input, a.Weight) ? NormForm.TensorOps : form;
    }

    /// <summary>
    /// Normalizes with the batch's own statistics; the mask gives each value's weight. Returns the output, and the mean and the biased variance with
    /// shape (C), in the accumulation dtype and without gradient.
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
        if (form == NormForm.Native) return NormalizeNatively(a);
        using var scope = NewDisposeScope();
        var moments = Statistics(a.Input, a.Mask, a.Eps);
        var y = Output(Affine(moments.Centred, moments.InverseDeviation, a.Weight, a.Bias), a.Input, a.Relu);
        return new(y.MoveToOuterDisposeScope(), PerChannel(moments.Mean).MoveToOuterDisposeScope(), PerChannel(moments.Variance).MoveToOuterDisposeScope());
    }

    /// <summary>The moments of each channel. The caller disposes the intermediate tensors.</summary>
    public static Moments Statistics(Tensor input, Tensor? mask, double eps)
    {
        var x = Wide(input);
        return mask is null ? Moments.Over(x, ChannelDims.OfStatistics(input), eps) : Moments.Over(x, ChannelDims.OfStatistics(input), eps, mask);
    }

    /// <summary>Normalizes with the running statistics, which get no gradient. The caller has checked the arguments, and the input is not empty.</summary>
    public static Tensor Evaluate(in ChannelNormArguments a)
    {
        if (a.Mask is not null) return EvaluateMasked(a);
        var (mean, variance) = (a.Running.Mean!, a.Running.Variance!);
        var form = FormOf(a);
        if (form == NormForm.NativeInFloat32) return InFloat32(a);
        if (form is NormForm.Kernel or NormForm.Native)
        {
            using var state = BatchNormNode.Begin(a);
            if (form == NormForm.Native) return BatchNormNode.EvaluateNatively(state, mean, variance, a.Relu);
            if (BatchNormNode.Evaluate(state, mean, variance, a.Relu) is { } output) return output;
        }
        using var scope = NewDisposeScope();
        var x = DifferenceHolds(mean) ? Wide(a.Input) : a.Input.to(ScalarType.Float64);
        var inverse = (Wide(variance.detach()) + a.Eps).rsqrt(); // before the cast to x's dtype: a float64 variance may be out of float32's range
        var centred = x - ChannelDims.Broadcast(mean.detach(), x);
        // Subtracts in two steps: the rounding error of a mean in x's dtype may be as large as a small deviation.
        if (mean.dtype == ScalarType.Float64 && x.dtype != ScalarType.Float64)
            centred = centred - ChannelDims.Broadcast(mean.detach() - mean.detach().to(x.dtype), x);
        return Output(Affine(centred, ChannelDims.Broadcast(inverse, x), a.Weight, a.Bias), a.Input, a.Relu).MoveToOuterDisposeScope();
    }

    /// <summary>The output for an empty input. Its gradients are zeros, not null.</summary>
    public static Tensor Empty(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        var output = a.Input.clone();
        if (a.Weight is not null) output = output * a.Weight.sum().to(a.Input.dtype);
        if (a.Bias is not null) output = output + a.Bias.sum().to(a.Input.dtype);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>centred·inverse·weight + bias in the accumulation dtype; weight and bias have shape (C).</summary>
    public static Tensor Affine(Tensor centred, Tensor inverse, Tensor? weight, Tensor? bias)
    {
        // Multiplies by inverse first: inverse · weight may overflow where the output does not, and so may the sum of gradient · centred.
        var output = centred * inverse;
        if (weight is not null) output = output * ChannelDims.Broadcast(weight, centred);
        return bias is null ? output : output + ChannelDims.Broadcast(bias, centred);
    }

    // The smallest number of values in a channel; under a mask channels have different counts.
    private static Tensor Train(in ChannelNormArguments a, double count, Tensor? counts)
    {
        var form = FormOf(a);
        bool direct = a.Running.Take(form, a.Input, a.Weight) && (form == NormForm.Kernel || a.Running.AreWritable);
        if (!direct) a.Running.RequireWritable(a.Input);
        if (count <= 1)
            return a.MayFallBack ? Evaluate(a with { Training = false }) : throw BatchNormCheck.TooFewValues(a.Input, a.Running.Exist, masked: true);
        if (direct && form == NormForm.NativeInFloat32) return InFloat32(a, count);
        if (direct && form == NormForm.Native) return TrainNatively(a);
        if (direct && TrainByKernel(a, count) is { } output) return output;
        using var batch = a.IsRenormalized ? BatchRenormFunctional.Normalize(a) : Normalize(a, direct ? NormForm.TensorOps : form);
        if (counts is null) a.Running.Update(batch.Mean, batch.Variance, count);
        else a.Running.Update(batch.Mean, batch.Variance, counts);
        return batch.Output;
    }

    // Creates no tensor but the output, because creating tensors dominates the cost of a small batch. Null where the values are too large or too small for a
    // kernel.
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

    // Whether x − mean is finite for every finite x. Not checked on other devices, because reading the result waits for the device.
    private static bool DifferenceHolds(Tensor mean) =>
        !KernelSelection.IsOnCpu(mean) || mean.numel() == 0 || !(ReadNumber(mean.detach().abs().amax()) > float.MaxValue / 2);

    // Rounds once to the input's dtype, in PyTorch's memory format.
    private static Tensor Output(Tensor y, Tensor input, bool relu)
    {
        // Not relu(): it saves its result for the backward pass, and the caller may change that in place.
        if (relu) y = y.masked_fill(y.detach().le(0), 0);
        y = y.to(input.dtype);
        return input.is_contiguous() ? y.contiguous() : MemoryLayout.Suggested(y, input);
    }

    private static Tensor PerChannel(Tensor statistic) => statistic.detach().flatten();
}

/// <summary>The result of normalizing with a batch's statistics. Disposing it does not dispose the output.</summary>
/// <param name="Output">The normalized values; the caller owns them.</param>
/// <param name="Mean">The mean of each channel.</param>
/// <param name="Variance">The biased variance of each channel.</param>
internal readonly record struct BatchNormResult(Tensor Output, Tensor Mean, Tensor Variance) : IDisposable
{
    public void Dispose()
    {
        Mean.Dispose();
        Variance.Dispose();
    }
}
