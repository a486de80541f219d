using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>The identity matrix, of any shape.</summary>
internal static class Eye
{
    public static Tensor Fill(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.dim() != 2)
            throw new ArgumentException($"Only tensors with 2 dimensions are supported: got shape {Repr.List(tensor.shape)}", nameof(tensor));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        tensor.fill_(Zero).diagonal().fill_(One);
        return tensor;
    }
}
