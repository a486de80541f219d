using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Checks of arguments, with PyTorch's messages, before anything is computed or written.</summary>
internal static class ShapeCheck
{
    /// <summary>Requires one entry per channel: "running_mean should contain 3 elements not 5".</summary>
    public static void Elements(Tensor? tensor, string name, long expected, long copies = 1)
    {
        if (tensor is null || tensor.numel() == expected) return;
        string perChannel = copies == 1 ? "" : $"; it has {tensor.numel()} for {expected} channels, each counted for {copies} samples";
        throw new ArgumentException($"{name} should contain {expected * copies} elements not {tensor.numel() * copies}{perChannel}", name);
    }

    /// <summary>
    /// Whether the trailing dimensions have these sizes. Reads one size at a time, because <c>shape</c> allocates and costs as much as a small kernel.
    /// </summary>
    public static bool EndsWith(Tensor tensor, ReadOnlySpan<long> sizes)
    {
        int skipped = (int)tensor.dim() - sizes.Length;
        if (skipped < 0) return false;
        for (int i = 0; i < sizes.Length; i++)
            if (tensor.size(skipped + i) != sizes[i]) return false;
        return true;
    }

    /// <summary>The number of positions: the product of the sizes after the batch and the channels.</summary>
    public static long Positions(Tensor input)
    {
        long positions = 1;
        for (int d = (int)input.dim() - 1; d > 1; d--) positions *= input.size(d);
        return positions;
    }

    /// <summary>Throws "expected 4D input (got 3D input)"; <paramref name="hint"/> names the call that accepts the given rank.</summary>
    public static void Rank(Tensor input, int least, int most, string hint = "")
    {
        long rank = input.dim();
        if (rank >= least && rank <= most) return;
        string expected = least == most ? $"{least}D" : $"{least}D or {most}D";
        throw new ArgumentException($"expected {expected} input (got {rank}D input){hint}", nameof(input));
    }

    /// <summary>Requires a real floating-point input: "batch_norm" not implemented for 'Long'.</summary>
    public static void FloatingPoint(Tensor input, string op)
    {
        if (input.is_floating_point()) return;
        throw new ArgumentException($"\"{op}\" not implemented for '{Repr.CName(input.dtype)}'; convert the input with .to(ScalarType.Float32)", nameof(input));
    }
}
