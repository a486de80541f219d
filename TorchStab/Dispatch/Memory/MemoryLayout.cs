using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Chooses an output's memory layout from its input as libtorch does: channels_last stays channels_last, any other layout becomes contiguous.
/// </summary>
internal static class MemoryLayout
{
    private static readonly int[] Order2d = [1, 3, 2, 0];
    private static readonly int[] Order3d = [1, 4, 3, 2, 0];

    /// <summary>
    /// Returns <paramref name="output"/> in the layout that the strides of <paramref name="input"/> suggest: the same tensor if it already has that layout.
    /// </summary>
    public static Tensor Suggested(Tensor output, Tensor input)
    {
        if (!IsChannelsLast(input)) return output.contiguous();
        long[] last = output.dim() == 4 ? [0, 2, 3, 1] : [0, 2, 3, 4, 1];
        long[] back = output.dim() == 4 ? [0, 3, 1, 2] : [0, 4, 1, 2, 3];
        using var scope = NewDisposeScope();
        var channelsLast = output.permute(last);
        return channelsLast.is_contiguous() ? output : channelsLast.contiguous().permute(back).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Whether a 4-D or 5-D tensor has the strides of channels_last (or channels_last_3d). Ambiguous strides, as for sizes N × 1 × 1 × 1, and empty tensors
    /// count as contiguous.
    /// </summary>
    public static bool IsChannelsLast(Tensor tensor)
    {
        if (tensor.dim() is not (4 or 5)) return false;
        long[] sizes = tensor.shape, strides = tensor.stride();
        if (strides[1] == 0) return false;
        long least = 0;
        foreach (int d in sizes.Length == 4 ? Order2d : Order3d)
        {
            if (sizes[d] == 0 || strides[d] < least || (d == 0 && least == strides[1])) return false;
            least = strides[d] * Math.Max(1, sizes[d]);
        }
        return true;
    }

    /// <summary>Whether a 4-D or 5-D tensor is channels_last without gaps, so that its memory consists of rows of channels only.</summary>
    public static bool IsDenseChannelsLast(Tensor tensor)
    {
        if (!IsChannelsLast(tensor)) return false;
        long[] sizes = tensor.shape, strides = tensor.stride();
        long dense = 1;
        foreach (int d in sizes.Length == 4 ? Order2d : Order3d)
        {
            if (sizes[d] != 1 && strides[d] != dense) return false;
            dense *= sizes[d];
        }
        return true;
    }
}
