using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Batch renormalization (Ioffe 2017): y = ((x − mean)/σ·r + d)·weight + bias with σ = √(var + eps) of the batch, r = σ/σ' clipped to
/// [1/rmax, rmax] and d = (mean − mean')/σ' clipped to [−dmax, dmax], where mean' and σ' are the running ones. r and d are constants
/// for the gradient.
/// </summary>
internal static class BatchRenormFunctional
{
    /// <summary>As <see cref="BatchNormFunctional.Normalize(Tensor, Tensor?, Tensor?, Tensor?, double, bool)"/>, renormalized.</summary>
    public static (Tensor Output, Tensor Mean, Tensor Variance) Normalize(
        Tensor input, Tensor? mask, Tensor runningMean, Tensor runningVar, Tensor? weight, Tensor? bias, double eps, double rmax, double dmax)
    {
        using var scope = NewDisposeScope();
        var (r, d) = Correction(input, mask, runningMean, runningVar, eps, rmax, dmax);
        // (x̂·r + d)·weight + bias is batch normalization with weight·r and weight·d + bias.
        var (scale, shift) = weight is null ? (r, d) : (weight.to(r.dtype) * r, weight.to(r.dtype) * d);
        if (bias is not null) shift = shift + bias.to(r.dtype);
        var (output, mean, variance) = BatchNormFunctional.Normalize(input, mask, scale, shift, eps, relu: false);
        return (output.MoveToOuterDisposeScope(), mean.MoveToOuterDisposeScope(), variance.MoveToOuterDisposeScope());
    }

    private static (Tensor R, Tensor D) Correction(
        Tensor input, Tensor? mask, Tensor runningMean, Tensor runningVar, double eps, double rmax, double dmax)
    {
        using var _ = no_grad();
        var moments = BatchNormFunctional.Statistics(input, mask, eps);
        var (mean, sigma) = (moments.Mean.flatten(), moments.Deviation.flatten());
        var runningSigma = (runningVar.to(mean.dtype) + eps).sqrt().flatten();
        var r = (sigma / runningSigma).clamp(1 / rmax, rmax);
        var d = ((mean - runningMean.to(mean.dtype).flatten()) / runningSigma).clamp(-dmax, dmax);
        return (r, d);
    }
}
