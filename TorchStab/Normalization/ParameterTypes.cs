using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The dtypes a normalization takes together: parameters of the input's dtype, or, as in PyTorch's mixed precision, float32 parameters
/// with a float16 or bfloat16 input.
/// </summary>
internal static class ParameterTypes
{
    /// <summary>Refuses an input that is not a real floating-point number and parameters that do not go with it, in PyTorch's words.</summary>
    public static void Require(Tensor input, Tensor? weight, Tensor? bias, string kernel)
    {
        var first = weight ?? bias;
        if (first is not null && first.dtype != input.dtype)
        {
            RequireFloat32(weight, nameof(weight));
            RequireFloat32(bias, nameof(bias));
            if (input.dtype is not (ScalarType.Float16 or ScalarType.BFloat16))
                throw new ArgumentException($"mixed dtype (CPU): all inputs must share same datatype. The input is {Name(input)}, the parameters are {Name(first)}: "
                    + "convert one with .to(dtype)", nameof(input));
        }
        ShapeCheck.FloatingPoint(input, kernel);
        if (weight is not null && bias is not null && bias.dtype != weight.dtype)
            throw new ArgumentException($"expected scalar type {Name(weight)} but found {Name(bias)}: convert bias with .to(dtype)", nameof(bias));
    }

    private static void RequireFloat32(Tensor? parameter, string name)
    {
        if (parameter is not null && parameter.dtype != ScalarType.Float32)
            throw new ArgumentException($"mixed dtype (CPU): expect parameter to have scalar type of Float; {name} is {Name(parameter)} and neither that nor "
                + "of the input's dtype: convert it with .to(dtype)", name);
    }

    // PyTorch's C++ names.
    private static string Name(Tensor tensor) => tensor.dtype switch
    {
        ScalarType.Float16 => "Half",
        ScalarType.Float32 => "Float",
        ScalarType.Float64 => "Double",
        ScalarType.Int64 => "Long",
        ScalarType.Int32 => "Int",
        var other => other.ToString(),
    };
}
