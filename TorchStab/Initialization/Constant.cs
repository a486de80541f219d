using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

internal static class Constant
{
    // Kept, because a small tensor is filled faster than a scalar is made.
    private static readonly Scalar Zero = 0.0.ToScalar(), One = 1.0.ToScalar();

    public static Tensor Fill(Tensor tensor, double val)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (val == 0) return ConstantLaunch.TryClear(tensor) ? tensor : Fill(tensor, Zero);
        if (val == 1) return Fill(tensor, One);
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
