using System.Globalization;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>Values as Python and libtorch print them: messages and module descriptions use PyTorch's texts.</summary>
internal static class Repr
{
    public static string Of(bool value) => value ? "True" : "False";

    public static string Of(double? value) => value is { } v ? Of(v) : "None";

    /// <summary>The shortest digits that read back as the same number; an exponent below 1e-4 and from 1e16.</summary>
    public static string Of(double value)
    {
        if (double.IsNaN(value)) return "nan";
        if (double.IsInfinity(value)) return value > 0 ? "inf" : "-inf";
        string shortest = value.ToString("R", CultureInfo.InvariantCulture);
        int e = shortest.IndexOf('E', StringComparison.Ordinal);
        if (e < 0) return shortest.Contains('.', StringComparison.Ordinal) ? shortest : shortest + ".0";
        // .NET writes exponents from 1e15, Python from 1e16.
        if (Math.Abs(value) is >= 1 and < 1e16) return value.ToString("F1", CultureInfo.InvariantCulture);
        return $"{shortest[..e]}e{shortest[(e + 1)..]}";
    }

    public static string Of(ScalarType dtype) => "torch." + dtype switch
    {
        ScalarType.Byte => "uint8",
        ScalarType.ComplexFloat32 => "complex64",
        ScalarType.ComplexFloat64 => "complex128",
        _ => dtype.ToString().ToLowerInvariant(),
    };

    /// <summary>A dtype's name in libtorch's own messages: Float, Double, Half, Long.</summary>
    public static string CName(ScalarType dtype) => dtype switch
    {
        ScalarType.Float16 => "Half",
        ScalarType.Float32 => "Float",
        ScalarType.Float64 => "Double",
        ScalarType.Int8 => "Char",
        ScalarType.Int16 => "Short",
        ScalarType.Int32 => "Int",
        ScalarType.Int64 => "Long",
        ScalarType.ComplexFloat32 => "ComplexFloat",
        ScalarType.ComplexFloat64 => "ComplexDouble",
        _ => dtype.ToString(),
    };

    /// <summary>A tuple: (3, 4), (3,) and ().</summary>
    public static string Tuple(ReadOnlySpan<long> values) => values.Length == 1 ? $"({values[0]},)" : $"({Joined(values)})";

    /// <summary>A list: [3, 4].</summary>
    public static string List(ReadOnlySpan<long> values) => $"[{Joined(values)}]";

    /// <summary>torch.Size([3, 4])</summary>
    public static string Size(Tensor tensor) => Size(tensor.shape);

    /// <summary>torch.Size([3, 4])</summary>
    public static string Size(ReadOnlySpan<long> shape) => $"torch.Size({List(shape)})";

    /// <summary>3, 4</summary>
    public static string Joined(ReadOnlySpan<long> values) => string.Join(", ", values.ToArray().Select(v => v.ToString(CultureInfo.InvariantCulture)));
}
