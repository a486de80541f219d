using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Martens 2010: normal weights, of which the same number in each column is set to zero.</summary>
internal static class Sparse
{
    public static Tensor Fill(Tensor tensor, double sparsity, double std, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.dim() != 2)
            throw new ArgumentException($"Only tensors with 2 dimensions are supported: got shape {Repr.List(tensor.shape)}", nameof(tensor));
        if (!(sparsity is >= 0 and <= 1))
            throw new ArgumentException($"sparsity is the fraction of zeros, from 0 to 1: got {InitArguments.Cpp(sparsity)}", nameof(sparsity));
        Normal.Fill(tensor, 0, std, generator);
        if (!KernelSelection.HasMemory(tensor)) return tensor; // on the meta device index_fill_ would write to memory that does not exist
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        long rows = tensor.size(0), columns = tensor.size(1), zeros = (long)Math.Ceiling(sparsity * rows);
        var device = tensor.device;
        using var zero = 0.ToScalar();
        for (long c = 0; c < columns; c++)
        {
            using var column = tensor.select(1, c);
            using var order = randperm(rows, device: device, generator: generator);
            using var dropped = order.narrow(0, 0, zeros);
            column.index_fill_(0, dropped, zero);
        }

        return tensor;
    }
}
