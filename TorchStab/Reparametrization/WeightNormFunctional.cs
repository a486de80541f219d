using static TorchSharp.torch;

namespace TorchStab.Reparametrization;

/// <summary>w = g·v/‖v‖ (Salimans and Kingma 2016), in tensor operations: any device and dtype, differentiable twice.</summary>
internal static class WeightNormFunctional
{
    /// <summary>The weight g·v/‖v‖. If all of v is zero, w is zero too and its gradients are finite; PyTorch's are NaN.</summary>
    public static Tensor Apply(Tensor g, Tensor v, long? dim)
    {
        using var scope = NewDisposeScope();
        var norm = Norm(v, dim);
        return v.mul(g.div(norm.masked_fill(norm.eq(0), 1))).MoveToOuterDisposeScope();
    }

    /// <summary>‖v‖₂ over all dimensions but one, which get size 1; without that dimension over the whole tensor, as a scalar.</summary>
    public static Tensor Norm(Tensor v, long? dim) => dim is not { } kept ? linalg.vector_norm(v)
        : linalg.vector_norm(v, dims: [.. Enumerable.Range(0, (int)v.dim()).Select(d => (long)d).Where(d => d != kept)], keepdim: v.dim() > 1);
}
