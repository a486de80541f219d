using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Fills a tensor with one number.</summary>
internal static class Constant
{
    // Cached, because making a scalar takes longer than filling a small tensor.
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
        if (!tensor.requires_grad) return tensor.fill_(value); // autograd records nothing
        using var _ = no_grad();
        return tensor.fill_(value);
    }
}
