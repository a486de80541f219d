using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>Fills a tensor with one number.</summary>
internal static class Constant
{
    public static Tensor Fill(Tensor tensor, double val)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (val == 0) return ConstantLaunch.TryClear(tensor) ? tensor : Fill(tensor, Zero);
        if (val == 1) return Fill(tensor, One);
        return Fill(tensor, Held(val));
    }

    private static Tensor Fill(Tensor tensor, Scalar value)
    {
        if (!tensor.requires_grad) return tensor.fill_(value); // autograd records nothing
        using var _ = no_grad();
        return tensor.fill_(value);
    }
}
