using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The gradients of y = x̂·weight + bias with x̂ = (x − mean)·r, r = 1/√(var + eps), in tensor operations that can be differentiated again:
/// for a gradient g of y, dbias = Σg, dweight = Σg·x̂, and with d = g·weight, dx = r·(d − mean(d) − x̂·mean(d·x̂)). Means are taken over the dimensions
/// of the statistics; x̂ and r have the accumulation dtype.
/// </summary>
internal static class NormGradient
{
    /// <param name="state">Contains which gradients are needed.</param>
    /// <param name="gradient">The gradient of the output.</param>
    /// <param name="standardized">x̂, in the shape of the input.</param>
    /// <param name="input">The input; its gradient has the same dtype.</param>
    /// <param name="weight">May be null.</param>
    /// <param name="shape">The shape in which the weight broadcasts to x̂.</param>
    /// <param name="toInput">Computes dx from d.</param>
    public static (Tensor? Input, Tensor? Weight, Tensor? Bias) Of(
        NodeState state, Tensor gradient, Tensor standardized, Tensor input, Tensor? weight, long[] shape, Func<Tensor, Tensor> toInput)
    {
        var g = gradient.to(standardized.dtype);
        var d = weight is null ? g : g * weight.reshape(shape);
        return (state.InputWanted ? toInput(d).to(input.dtype) : null, state.WeightWanted ? Sum(g * standardized) : null, state.BiasWanted ? Sum(g) : null);

        Tensor Sum(Tensor values)
        {
            long[] dims = [.. Enumerable.Range(0, shape.Length).Where(i => shape[i] == 1).Select(i => (long)i)];
            var sum = dims.Length == 0 ? values : values.sum(dims);
            return weight is null ? sum.to(input.dtype) : sum.reshape(weight.shape).to(weight.dtype);
        }
    }

    /// <summary>Computes dx from d where the statistics are the input's own, over some dimensions.</summary>
    /// <param name="centred">Whether the mean was subtracted.</param>
    public static Tensor ThroughStatistics(Tensor d, Tensor standardized, Tensor rstd, long[] dims, bool centred = true)
    {
        var rest = d - (standardized * (d * standardized).mean(dims, keepdim: true));
        if (centred) rest = rest - d.mean(dims, keepdim: true);
        return rest * rstd;
    }
}
