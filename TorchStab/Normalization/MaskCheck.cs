using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Checks the mask of masked statistics.</summary>
internal static class MaskCheck
{
    /// <summary>Requires a mask that broadcasts to the input without enlarging it.</summary>
    public static void Require(Tensor mask, Tensor input)
    {
        ArgumentNullException.ThrowIfNull(mask);
        long[] from = mask.shape, to = input.shape;
        bool fits = from.Length <= to.Length;
        for (int i = 1; fits && i <= from.Length; i++) fits = from[^i] == to[^i] || from[^i] == 1;
        if (!fits)
            throw new ArgumentException($"mask of shape {Repr.List(from)} does not broadcast to the input's shape {Repr.List(to)}: give it the input's rank, "
                + "with size 1 where it is the same for all, for example mask.unsqueeze(-1)", nameof(mask));
    }
}
