using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Conditions on arguments, refused in PyTorch's words before anything is computed or written.</summary>
internal static class ShapeCheck
{
    /// <summary>One entry per channel: "running_mean should contain 3 elements not 5".</summary>
    public static void Elements(Tensor? tensor, string name, long expected)
    {
        if (tensor is not null && tensor.numel() != expected)
            throw new ArgumentException($"{name} should contain {expected} elements not {tensor.numel()}", name);
    }

    /// <summary>"expected 4D input (got 3D input)"; <paramref name="hint"/> says which call takes what came.</summary>
    public static void Rank(Tensor input, int least, int most, string hint = "")
    {
        long rank = input.dim();
        if (rank >= least && rank <= most) return;
        string expected = least == most ? $"{least}D" : $"{least}D or {most}D";
        throw new ArgumentException($"expected {expected} input (got {rank}D input){hint}", nameof(input));
    }

    /// <summary>Statistics need at least two values: "Expected more than 1 value per channel when training, got input size …".</summary>
    public static void MoreThanOneValue(Tensor input, long valuesPerChannel, string hint = "")
    {
        if (valuesPerChannel == 1)
            throw new ArgumentException($"Expected more than 1 value per channel when training, got input size {Repr.Size(input)}{hint}", nameof(input));
    }

    /// <summary>Normalization is for real floating-point numbers: "batch_norm" not implemented for 'Long'.</summary>
    public static void FloatingPoint(Tensor input, string op)
    {
        if (input.is_floating_point()) return;
        string name = input.dtype switch { ScalarType.Int64 => "Long", ScalarType.Int32 => "Int", ScalarType.Int16 => "Short", ScalarType.Int8 => "Char", var d => d.ToString() };
        throw new ArgumentException($"\"{op}\" not implemented for '{name}'; convert the input with .to(ScalarType.Float32)", nameof(input));
    }
}
