using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Instance normalization (Ulyanov et al. 2016): y = (x − mean)/√(var + eps)·weight + bias with mean and biased
/// variance of each channel of each sample, over its positions. On any device and dtype as tensor operations, differentiable any number of times; nothing
/// here writes to an argument.
/// </summary>
/// <remarks>
/// Every module and functional computes through <see cref="Normalize"/>, or with given statistics through <see cref="Evaluate"/>, with
/// arguments already checked and input not empty; both go to a kernel where one takes the case.
/// </remarks>
internal static class InstanceNormFunctional
{
    /// <summary>
    /// Normalizes with the statistics of each (n, c). Returns the contiguous output and, of shape (N, C) in the accumulation type and
    /// without gradient, the means and the biased variances; a kernel leaves these out unless they are asked for.
    /// </summary>
    public static (Tensor Output, Tensor? Mean, Tensor? Variance) Normalize(Tensor input, Tensor? weight, Tensor? bias, double eps, bool statistics) =>
        KernelSelection.TakesGroups(input, weight, bias, input.size(1)) && NormalizeByKernel(input, weight, bias, eps, statistics) is { Output: { } output } result
            ? (output, result.Mean, result.Variance) : NormalizeInTensorOps(input, weight, bias, eps);

    private static (Tensor? Output, Tensor? Mean, Tensor? Variance) NormalizeByKernel(Tensor input, Tensor? weight, Tensor? bias, double eps, bool statistics)
    {
        using var state = GroupNormNode.Instance.Begin(input, input.size(1), weight, bias, eps);
        if (GroupNormNode.Run(state) is not { } output) return default;
        if (!statistics) return (output, null, null);
        long[] shape = [state.Outer, state.Middle];
        return (output, ChannelStatistics.ToTensor(state.Means, shape, input), ChannelStatistics.ToTensor(state.Variances, shape, input));
    }

    /// <summary>The equation in tensor operations.</summary>
    public static (Tensor Output, Tensor Mean, Tensor Variance) NormalizeInTensorOps(Tensor input, Tensor? weight, Tensor? bias, double eps)
    {
        using var scope = NewDisposeScope();
        var moments = Moments.Over(input.to(Moments.Accumulator(input)), ChannelDims.OfPositions((int)input.dim()), eps);
        var output = BatchNormFunctional.Affine(moments.Centred, moments.InverseDeviation, weight, bias).to(input.dtype).contiguous();
        return (output.MoveToOuterDisposeScope(), PerInstance(moments.Mean).MoveToOuterDisposeScope(), PerInstance(moments.Variance).MoveToOuterDisposeScope());
    }

    /// <summary>Normalizes with given statistics of shape (C), through which no gradient passes; the output is contiguous.</summary>
    public static Tensor Evaluate(Tensor input, Tensor mean, Tensor variance, Tensor? weight, Tensor? bias, double eps)
    {
        using var output = BatchNormFunctional.Evaluate(input, mean, variance, weight, bias, eps);
        return output.contiguous();
    }

    private static Tensor PerInstance(Tensor statistic) => statistic.detach().flatten(2).squeeze(2);
}
