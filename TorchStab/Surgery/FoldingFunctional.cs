using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// The equations of folding. In eval mode batch normalization is y = scale·x + shift for every channel, with scale = γ/√(σ² + ε) and
/// shift = β − μ·scale, so it can become part of the linear map before it. Results are new tensors without an autograd graph.
/// </summary>
internal static class FoldingFunctional
{
    /// <summary>The scale and shift of each channel, in float32 or float64: a half type would round intermediate results.</summary>
    public static (Tensor scale, Tensor shift) Affine(BatchNormView norm)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var dtype = promote_types(norm.RunningVar.dtype, ScalarType.Float32);
        var scale = (norm.RunningVar.to(dtype) + norm.Eps).rsqrt();
        if (norm.Weight is not null) scale = scale * norm.Weight.to(dtype);
        var shift = -norm.RunningMean.to(dtype) * scale;
        if (norm.Bias is not null) shift = shift + norm.Bias.to(dtype);
        return scope.MoveToOuter(scale, shift);
    }

    /// <summary>
    /// weight · scale along the output channels. A convolution or linear layer has them in dimension 0, (C_out, C_in/groups, k…); a
    /// transposed convolution has (C_in, C_out/groups, k…), where block g of dimension 0 holds the channels of group g.
    /// </summary>
    public static Tensor Weight(Tensor weight, Tensor scale, bool transposed = false, long groups = 1)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var factor = transposed
            ? scale.reshape(groups, 1, -1).expand(groups, weight.shape[0] / groups, weight.shape[1]).reshape(weight.shape[0], weight.shape[1])
            : scale.unsqueeze(1);
        while (factor.ndim < weight.ndim) factor = factor.unsqueeze(-1);
        return (weight.detach() * factor).to(weight.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>bias · scale + shift; without a bias, the shift.</summary>
    public static Tensor Bias(Tensor? bias, Tensor scale, Tensor shift, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var folded = bias is null ? shift.clone() : bias.detach() * scale + shift;
        return folded.to(dtype).MoveToOuterDisposeScope();
    }
}
