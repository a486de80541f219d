using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The dimensions of an input (N, C, …), and how a vector of shape (C) broadcasts to it.</summary>
internal static class ChannelDims
{
    /// <summary>0, 2, 3, …: the dimensions that batch normalization reduces.</summary>
    public static long[] OfStatistics(Tensor input) => [0, .. OfPositions((int)input.dim())];

    /// <summary>2, 3, …: the dimensions that instance normalization reduces.</summary>
    public static long[] OfPositions(int rank) => [.. Enumerable.Range(2, rank - 2).Select(d => (long)d)];

    /// <summary>The shape (1, C, 1, …).</summary>
    public static long[] Shape(Tensor input)
    {
        long[] shape = new long[input.dim()];
        Array.Fill(shape, 1);
        shape[1] = input.size(1);
        return shape;
    }

    /// <summary>Reshapes (C) to (1, C, 1, …) and converts to the dtype of <paramref name="x"/>.</summary>
    public static Tensor Broadcast(Tensor perChannel, Tensor x) => perChannel.to(x.dtype).reshape(Shape(x));
}
