using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Layer normalization (Ba, Kiros, Hinton 2016): y = (x − mean) / √(var + eps) · weight + bias, mean and biased variance of each row
/// over the trailing dimensions <c>normalized_shape</c>.
/// </summary>
internal static class LayerNormFunctional
{
    /// <summary>Checks the arguments and normalizes; the result is contiguous.</summary>
    public static Tensor Apply(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps)
    {
        NormalizedShape.Require(input, normalized_shape, weight, bias);
        ParameterTypes.Require(input, weight, bias, "LayerNormKernelImpl");
        if (KernelSelection.TakesRows(input, weight, bias, NormalizedShape.Count(normalized_shape))
            && RowNormNode.Layer.Apply(input, normalized_shape, weight, bias, eps) is { } output) return output;
        using var scope = NewDisposeScope();
        return Normalize(input, normalized_shape, weight, bias, eps).MoveToOuterDisposeScope();
    }

    /// <summary>The same with the statistics of what <paramref name="mask"/> counts; every position is normalized with them.</summary>
    public static Tensor Apply(Tensor input, Tensor mask, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps)
    {
        NormalizedShape.Require(input, normalized_shape, weight, bias);
        ParameterTypes.Require(input, weight, bias, "LayerNormKernelImpl");
        MaskCheck.Require(mask, input);
        using var scope = NewDisposeScope();
        return Normalize(input, normalized_shape, weight, bias, eps, mask).MoveToOuterDisposeScope();
    }

    /// <summary>The equation in tensor operations, on any device, differentiable twice.</summary>
    internal static Tensor Normalize(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps, Tensor? mask = null)
    {
        var x = input.to(Moments.Accumulator(input));
        long[] dims = NormalizedShape.Dims(normalized_shape);
        var moments = mask is null ? Moments.Over(x, dims, eps) : Moments.Over(x, dims, eps, mask);
        var y = moments.Centred * moments.InverseDeviation;
        if (weight is not null) y = y * weight;
        if (bias is not null) y = y + bias;
        return y.to(input.dtype).contiguous();
    }
}
