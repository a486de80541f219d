using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The combinations of dtypes that a normalization accepts: parameters and statistics have the input's dtype or, as in PyTorch's mixed precision, are
/// float32 beside a float16 or bfloat16 input.
/// </summary>
internal static class ParameterTypes
{
    /// <summary>Throws, with PyTorch's messages, if a parameter's dtype does not match the input's, or the input is not a real floating-point tensor.</summary>
    public static void Require(Tensor input, Tensor? weight, Tensor? bias, string kernel)
    {
        // PyTorch checks the input first, unless the first parameter has another dtype; then only a half-precision input passes this check.
        if ((weight ?? bias) is not { } first || first.dtype == input.dtype) ShapeCheck.FloatingPoint(input, kernel);
        RequireMatch(input, weight, bias, null, null);
    }

    /// <summary>Throws, with PyTorch's messages, if the dtype of a parameter or a statistic does not match the input's.</summary>
    public static void RequireMatch(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var)
    {
        if ((weight ?? bias ?? running_mean ?? running_var) is not { } first) return;
        var own = input.dtype;
        bool mixed = first.dtype != own;
        var expected = mixed ? ScalarType.Float32 : own;
        RequireDtype(weight, nameof(weight), expected, mixed, input);
        RequireDtype(bias, nameof(bias), expected, mixed, input);
        RequireDtype(running_mean, nameof(running_mean), expected, mixed, input);
        RequireDtype(running_var, nameof(running_var), expected, mixed, input);
        if (mixed && own is not (ScalarType.Float16 or ScalarType.BFloat16))
            throw new ArgumentException($"mixed dtype (CPU): all inputs must share same datatype. The input is {input.dtype}, the parameters are Float32: "
                + "convert one with .to(dtype)", nameof(input));
    }

    private static void RequireDtype(Tensor? tensor, string name, ScalarType expected, bool mixed, Tensor input)
    {
        if (tensor is null || tensor.dtype == expected) return;
        string pytorch = mixed ? "mixed dtype (CPU): expect parameter to have scalar type of Float"
            : $"expected scalar type {Repr.CName(expected)} but found {Repr.CName(tensor.dtype)}";
        throw new ArgumentException($"{pytorch}; {name} is {tensor.dtype} and the input is {input.dtype}: convert {name} with .to(ScalarType.{expected})",
            name);
    }
}
