using static TorchSharp.torch;

namespace TorchStab.Reparametrization;

/// <summary>w = g·v/‖v‖ (Salimans and Kingma 2016), in tensor operations: any device and dtype, differentiable twice.</summary>
internal static class WeightNormFunctional
{
    /// <summary>The weight. Where v is zero throughout, so is w, with gradients that are finite: PyTorch's would be NaN.</summary>
    public static Tensor Apply(Tensor g, Tensor v, long? dim)
    {
        using var scope = NewDisposeScope();
        var norm = Norm(v, dim);
        return v.mul(g.div(norm.masked_fill(norm.eq(0), 1))).MoveToOuterDisposeScope();
    }

    /// <summary>‖v‖₂ over all dimensions but one, which keep the size 1; over the whole tensor, without dimensions, where there is none.</summary>
    public static Tensor Norm(Tensor v, long? dim) => dim is not { } kept ? linalg.vector_norm(v)
        : linalg.vector_norm(v, dims: [.. Enumerable.Range(0, (int)v.dim()).Select(d => (long)d).Where(d => d != kept)], keepdim: v.dim() > 1);
}
