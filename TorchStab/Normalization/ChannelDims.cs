using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The dimensions of an input (N, C, …) of a norm over channels, and how a number for each channel meets it.</summary>
internal static class ChannelDims
{
    /// <summary>0, 2, 3, …: a channel's values, those of a batch normalization's statistics.</summary>
    public static long[] OfStatistics(Tensor input) => [0, .. OfPositions((int)input.dim())];

    /// <summary>2, 3, …: the positions of a channel of one sample.</summary>
    public static long[] OfPositions(int rank) => [.. Enumerable.Range(2, rank - 2).Select(d => (long)d)];

    /// <summary>(1, C, 1, …).</summary>
    public static long[] Shape(Tensor input)
    {
        long[] shape = new long[input.dim()];
        Array.Fill(shape, 1);
        shape[1] = input.size(1);
        return shape;
    }

    /// <summary>Numbers of shape (C) as (1, C, 1, …), in the dtype of <paramref name="x"/>.</summary>
    public static Tensor Broadcast(Tensor perChannel, Tensor x) => perChannel.to(x.dtype).reshape(Shape(x));
}
