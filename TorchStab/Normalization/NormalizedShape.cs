using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The trailing dimensions that LayerNorm and RMSNorm normalize over.</summary>
internal static class NormalizedShape
{
    /// <summary>The dimensions −k … −1 for k trailing dimensions.</summary>
    public static long[] Dims(long[] normalized_shape)
    {
        long[] dims = new long[normalized_shape.Length];
        for (int i = 0; i < dims.Length; i++) dims[i] = i - dims.Length;
        return dims;
    }

    /// <summary>The number of elements of a row.</summary>
    public static long Count(long[] normalized_shape)
    {
        long count = 1;
        foreach (long size in normalized_shape) count *= size;
        return count;
    }

    /// <summary>Throws, with PyTorch's messages, if the shapes do not fit together.</summary>
    public static void Require(Tensor input, long[] normalized_shape, Tensor? weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(input);
        RequireAny(normalized_shape);
        RequireSame(weight, nameof(weight), normalized_shape);
        RequireSame(bias, nameof(bias), normalized_shape);
        if (!ShapeCheck.EndsWith(input, normalized_shape))
            throw new ArgumentException($"Given normalized_shape={Repr.List(normalized_shape)}, expected input with shape "
                + $"[*, {Repr.Joined(normalized_shape)}], but got input of size{Repr.List(input.shape)}", nameof(input));
    }

    /// <summary>Throws if the list is empty.</summary>
    public static void RequireAny(long[] normalized_shape)
    {
        ArgumentNullException.ThrowIfNull(normalized_shape);
        if (normalized_shape.Length == 0)
            throw new ArgumentException("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
                + "but got normalized_shape = []", nameof(normalized_shape));
    }

    private static void RequireSame(Tensor? parameter, string name, long[] normalized_shape)
    {
        if (parameter is null || (parameter.dim() == normalized_shape.Length && ShapeCheck.EndsWith(parameter, normalized_shape))) return;
        throw new ArgumentException($"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {Repr.List(parameter.shape)} "
            + $"and normalized_shape = {Repr.List(normalized_shape)}", name);
    }
}
