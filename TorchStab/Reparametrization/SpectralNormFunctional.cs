using static TorchSharp.torch;

namespace TorchStab.Reparametrization;

/// <summary>w = W/σ with the largest singular value σ of W as a matrix (Miyato et al. 2018), found by power iteration.</summary>
internal static class SpectralNormFunctional
{
    /// <summary>W as a matrix with one row for each index of <paramref name="dim"/>.</summary>
    public static Tensor Matrix(Tensor weight, long dim) => weight.movedim([dim], [0]).flatten(1);

    /// <summary>
    /// u ← Wv/‖Wv‖ and v ← Wᵀu/‖Wᵀu‖, in place and outside the graph. A vector whose new value would be zero or not finite keeps its old value; in PyTorch
    /// a weight that is zero at the start makes the vectors zero permanently.
    /// </summary>
    public static void Iterate(Tensor weight, long dim, Tensor u, Tensor v, long times, double eps)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var matrix = Matrix(weight, dim);
        for (long i = 0; i < times; i++)
        {
            Replace(u, matrix.mv(v), eps);
            Replace(v, matrix.t().mv(u), eps);
        }
    }

    /// <summary>The weight W/σ. u and v are constants, and σ = uᵀWv is differentiated: ∂σ/∂W = uvᵀ. If σ = 0, W is not divided.</summary>
    public static Tensor Apply(Tensor weight, long dim, Tensor u, Tensor v)
    {
        using var scope = NewDisposeScope();
        // Copies the vectors, because the next call changes them in place, perhaps before the backward pass of this one.
        var sigma = u.clone().dot(Matrix(weight, dim).mv(v.clone()));
        return weight.div(sigma.masked_fill(sigma.eq(0), 1)).MoveToOuterDisposeScope();
    }

    private static void Replace(Tensor vector, Tensor next, double eps)
    {
        var norm = next.norm();
        var usable = norm.gt(0).logical_and(norm.isfinite());
        vector.copy_(where(usable, next.div(norm.clamp_min(eps)), vector));
    }
}
