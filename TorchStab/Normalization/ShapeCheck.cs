using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Conditions on arguments, refused in PyTorch's words before anything is computed or written.</summary>
internal static class ShapeCheck
{
    /// <summary>One entry per channel: "running_mean should contain 3 elements not 5".</summary>
    public static void Elements(Tensor? tensor, string name, long expected, long copies = 1)
    {
        if (tensor is null || tensor.numel() == expected) return;
        string perChannel = copies == 1 ? "" : $"; it has {tensor.numel()} for {expected} channels, each counted for {copies} samples";
        throw new ArgumentException($"{name} should contain {expected * copies} elements not {tensor.numel() * copies}{perChannel}", name);
    }

    /// <summary>Whether the trailing dimensions are these. Size by size: <c>shape</c> would allocate, and cost as much as a small kernel.</summary>
    public static bool EndsWith(Tensor tensor, ReadOnlySpan<long> sizes)
    {
        int skipped = (int)tensor.dim() - sizes.Length;
        if (skipped < 0) return false;
        for (int i = 0; i < sizes.Length; i++)
            if (tensor.size(skipped + i) != sizes[i]) return false;
        return true;
    }

    /// <summary>How many positions there are behind the batch and the channels.</summary>
    public static long Positions(Tensor input)
    {
        long positions = 1;
        for (int d = (int)input.dim() - 1; d > 1; d--) positions *= input.size(d);
        return positions;
    }

    /// <summary>"expected 4D input (got 3D input)"; <paramref name="hint"/> says which call takes what came.</summary>
    public static void Rank(Tensor input, int least, int most, string hint = "")
    {
        long rank = input.dim();
        if (rank >= least && rank <= most) return;
        string expected = least == most ? $"{least}D" : $"{least}D or {most}D";
        throw new ArgumentException($"expected {expected} input (got {rank}D input){hint}", nameof(input));
    }

    /// <summary>Normalization is for real floating-point numbers: "batch_norm" not implemented for 'Long'.</summary>
    public static void FloatingPoint(Tensor input, string op)
    {
        if (input.is_floating_point()) return;
        throw new ArgumentException($"\"{op}\" not implemented for '{Repr.CName(input.dtype)}'; convert the input with .to(ScalarType.Float32)", nameof(input));
    }
}
