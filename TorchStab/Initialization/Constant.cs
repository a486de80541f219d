using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

internal static class Constant
{
    // Kept, because a small tensor is filled faster than a scalar is made.
    private static readonly Scalar Zero = 0.0.ToScalar(), One = 1.0.ToScalar();

    public static Tensor Fill(Tensor tensor, double val)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (val is 0 or 1) return Fill(tensor, val == 0 ? Zero : One);
        using var value = val.ToScalar();
        return Fill(tensor, value);
    }

    private static Tensor Fill(Tensor tensor, Scalar value)
    {
        if (!tensor.requires_grad) return tensor.fill_(value); // no graph to keep out of
        using var _ = no_grad();
        return tensor.fill_(value);
    }
}
