using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

internal static class Constant
{
    public static Tensor Fill(Tensor tensor, double val)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using var value = val.ToScalar();
        using var _ = no_grad();
        return tensor.fill_(value);
    }
}
