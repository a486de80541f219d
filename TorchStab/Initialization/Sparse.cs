using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

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
        long rows = tensor.size(0), columns = tensor.size(1), count = (long)Math.Ceiling(sparsity * rows);
        var zeros = generator is null || KernelSelection.IsOnCpu(tensor) ? Columnwise(rows, columns, count, generator)
            : Together(rows, columns, count, tensor.device, generator);
        tensor.masked_fill_(zeros.to(tensor.device).t(), Zero);
        return tensor;
    }

    // As PyTorch draws them, which draws on the CPU for a tensor on any device. The generator of another device can draw there only.
    private static Tensor Columnwise(long rows, long columns, long count, Generator? generator)
    {
        var zeros = torch.zeros(columns, rows, ScalarType.Bool, CPU);
        for (long c = 0; c < columns; c++)
        {
            using var column = zeros.select(0, c);
            using var order = randperm(rows, device: CPU, generator: generator);
            using var dropped = order.narrow(0, 0, count);
            column.index_fill_(0, dropped, One);
        }
        return zeros;
    }

    /// <summary>All columns in a few operations of a device: of random numbers the places of the smallest ones.</summary>
    internal static Tensor Together(long rows, long columns, long count, Device device, Generator generator)
    {
        var dropped = rand([columns, rows], device: device, generator: generator).argsort(1).narrow(1, 0, count);
        return torch.zeros(columns, rows, ScalarType.Bool, device).scatter_(1, dropped, ones_like(dropped, dtype: ScalarType.Bool));
    }
}
