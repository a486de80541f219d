using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Root-mean-square normalization (Zhang, Sennrich 2019): y = x / √(mean(x²) + eps) · weight, with the mean of each row over the
/// trailing dimensions <c>normalized_shape</c>.
/// </summary>
internal static class RMSNormFunctional
{
    /// <summary>Checks the arguments and normalizes. The result has the input's memory layout.</summary>
    public static Tensor Apply(Tensor input, long[] normalized_shape, Tensor? weight, double? eps)
    {
        NormalizedShape.Require(input, normalized_shape, weight, bias: null);
        ShapeCheck.FloatingPoint(input, "rms_norm");
        double added = eps ?? Epsilon(input.dtype);
        var form = NormSelection.FormOfRows(NativeNorm.RMS, input, weight, bias: null, NormalizedShape.Count(normalized_shape));
        if (form is NormForm.Kernel or NormForm.Native && RowNormNode.RMS.Run(form, input, normalized_shape, weight, null, added) is { } output) return output;
        using var scope = NewDisposeScope();
        if (form == NormForm.NativeInFloat32)
            return Apply(input.to(ScalarType.Float32), normalized_shape, weight?.to(ScalarType.Float32), added).to(input.dtype).MoveToOuterDisposeScope();
        return Normalize(input, normalized_shape, weight, added).MoveToOuterDisposeScope();
    }

    /// <summary>The machine epsilon of a dtype: the distance from 1 to the next larger number.</summary>
    public static double Epsilon(ScalarType dtype) => Math.ScaleB(1, dtype switch
    {
        ScalarType.BFloat16 => -7,
        ScalarType.Float16 => -10,
        ScalarType.Float32 => -23,
        _ => -52,
    });

    /// <summary>The equation in tensor operations, on any device, differentiable twice.</summary>
    private static Tensor Normalize(Tensor input, long[] normalized_shape, Tensor? weight, double eps)
    {
        var x = input.to(Moments.Accumulator(input));
        var moments = Moments.AboutZero(x, NormalizedShape.Dims(normalized_shape), eps);
        var y = moments.Centred * moments.InverseDeviation;
        if (weight is not null) y = y * weight;
        return y.to(input.dtype);
    }
}
