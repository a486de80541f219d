using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>Saxe et al. 2013: a random matrix with orthonormal rows or columns, whichever are fewer.</summary>
internal static class Orthogonal
{
    public static Tensor Fill(Tensor tensor, double gain, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.dim() < 2)
            throw new ArgumentException($"Only tensors with 2 or more dimensions are supported: got shape {Repr.List(tensor.shape)}", nameof(tensor));
        Require(tensor, gain);
        if (tensor.NumberOfElements == 0) return tensor;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        long rows = tensor.size(0);
        tensor.copy_(Matrix(rows, tensor.NumberOfElements / rows, tensor, generator).reshape(tensor.shape));
        return tensor.mul_(Held(gain));
    }

    /// <summary>Refuses, before the tensor is written, arguments that would fail afterwards.</summary>
    public static void Require(Tensor tensor, double gain)
    {
        InitArguments.RequireNormal(tensor, 1, nameof(tensor));
        InitArguments.RequireFits(tensor, gain, nameof(gain));
        if (tensor.is_complex())
            throw new ArgumentException("Unlike NumPy, torch.sign is not intended to support complex numbers: a real tensor is needed", nameof(tensor));
    }

    /// <summary>Q of a random normal matrix, each column's sign chosen so that all orthogonal matrices are equally likely (Mezzadri 2006).</summary>
    private static Tensor Matrix(long rows, long columns, Tensor like, Generator? generator)
    {
        var drawn = empty(rows, columns, WorkingType(like.dtype), like.device).normal_(0, 1, generator);
        var (q, r) = linalg.qr(rows < columns ? drawn.t() : drawn);
        q.mul_(r.diagonal().sign());
        return rows < columns ? q.t() : q;
    }

    /// <summary>libtorch has no QR factorization for half types. PyTorch refuses them; here the matrix is computed in float32 and rounded.</summary>
    private static ScalarType WorkingType(ScalarType dtype) => dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : dtype;
}
