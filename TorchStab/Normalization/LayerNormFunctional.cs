using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Layer normalization (Ba, Kiros, Hinton 2016): y = (x − mean) / √(var + eps) · weight + bias, with the mean and the biased variance of
/// each row over the trailing dimensions <c>normalized_shape</c>.
/// </summary>
internal static class LayerNormFunctional
{
    /// <summary>
    /// Checks the arguments and normalizes with the statistics of the elements that <paramref name="mask"/> selects (null: all). The result is contiguous.
    /// </summary>
    public static Tensor Apply(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps, Tensor? mask = null)
    {
        NormalizedShape.Require(input, normalized_shape, weight, bias);
        if (AutocastPolicy.RunsInFloat32(input)) return ApplyInFloat32(input, normalized_shape, weight, bias, eps, mask);
        ParameterTypes.Require(input, weight, bias, "LayerNormKernelImpl");
        if (mask is not null) MaskCheck.Require(mask, input);
        var form = mask is null ? NormSelection.FormOfRows(NativeNorm.Layer, input, weight, bias, NormalizedShape.Count(normalized_shape)) : NormForm.TensorOps;
        if (form is NormForm.Kernel or NormForm.Native && RowNormNode.Layer.Run(form, input, normalized_shape, weight, bias, eps) is { } output) return output;
        using var scope = NewDisposeScope();
        if (form == NormForm.NativeInFloat32) return ApplyInFloat32(input, normalized_shape, weight, bias, eps, mask).to(input.dtype).MoveToOuterDisposeScope();
        return Normalize(input, normalized_shape, weight, bias, eps, mask).MoveToOuterDisposeScope();
    }

    /// <summary>Normalizes float32 copies of the tensors. Gradients have the dtypes of the originals.</summary>
    internal static Tensor ApplyInFloat32(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        return Apply(input.to(ScalarType.Float32), normalized_shape, weight?.to(ScalarType.Float32), bias?.to(ScalarType.Float32), eps, mask)
            .MoveToOuterDisposeScope();
    }

    /// <summary>The equation in tensor operations, on any device, differentiable twice.</summary>
    private static Tensor Normalize(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias, double eps, Tensor? mask)
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
