using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Creates parameters and buffers in a module's constructor. They belong to no DisposeScope; the sizes are checked first.</summary>
internal static class ParameterFactory
{
    /// <summary>Creates a scale of ones.</summary>
    public static Parameter Ones(ReadOnlySpan<long> shape, ScalarType? dtype, Device? device, string argument)
    {
        Require(shape, dtype, argument);
        var parameter = new Parameter(ones(shape, dtype, device));
        parameter.DetachFromDisposeScope();
        return parameter;
    }

    /// <summary>Creates a shift of zeros.</summary>
    public static Parameter Zeros(ReadOnlySpan<long> shape, ScalarType? dtype, Device? device, string argument)
    {
        Require(shape, dtype, argument);
        var parameter = new Parameter(zeros(shape, dtype, device));
        parameter.DetachFromDisposeScope();
        return parameter;
    }

    /// <summary>Throws, with PyTorch's messages, for a negative size in <paramref name="argument"/> or a dtype that has no gradients.</summary>
    public static void Require(ReadOnlySpan<long> shape, ScalarType? dtype, string argument)
    {
        foreach (long size in shape)
            if (size < 0) throw new ArgumentOutOfRangeException(argument,
                FormattableString.Invariant($"Trying to create tensor with negative dimension {size}: {Repr.List(shape)}"));
        if (dtype is { } d && d is not (ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64
            or ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64))
            throw new ArgumentException($"Only Tensors of floating point and complex dtype can require gradients; got dtype {Repr.Of(d)}", nameof(dtype));
    }
}
