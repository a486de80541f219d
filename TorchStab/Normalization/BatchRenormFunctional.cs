using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Batch renormalization (Ioffe 2017): y = ((x − mean)/σ·r + d)·weight + bias with σ = √(var + eps) of the batch, r = σ/σ' clipped to
/// [1/rmax, rmax] and d = (mean − mean')/σ' clipped to [−dmax, dmax], where mean' and σ' are the running statistics. r and d are constants
/// for the gradient.
/// </summary>
internal static class BatchRenormFunctional
{
    /// <summary>As <see cref="BatchNormFunctional.Normalize"/>, with r and d applied.</summary>
    public static BatchNormResult Normalize(in ChannelNormArguments a)
    {
        using var scope = NewDisposeScope();
        var (r, d) = Correction(a);
        // (x̂·r + d)·weight + bias is batch normalization with weight·r and weight·d + bias.
        var (scale, shift) = a.Weight is null ? (r, d) : (a.Weight.to(r.dtype) * r, a.Weight.to(r.dtype) * d);
        if (a.Bias is not null) shift = shift + a.Bias.to(r.dtype);
        var plain = a with { Weight = scale, Bias = shift, Renorm = null };
        var (output, mean, variance) = BatchNormFunctional.Normalize(plain, BatchNormFunctional.FormOf(plain));
        return new(output.MoveToOuterDisposeScope(), mean.MoveToOuterDisposeScope(), variance.MoveToOuterDisposeScope());
    }

    private static (Tensor R, Tensor D) Correction(in ChannelNormArguments a)
    {
        using var _ = no_grad();
        var (rmax, dmax) = a.Renorm!.Value;
        var (mean, sigma) = MeanAndDeviation(a);
        var runningSigma = (a.Running.Variance!.to(mean.dtype) + a.Eps).sqrt().flatten();
        var r = (sigma / runningSigma).clamp(1 / rmax, rmax);
        var d = ((mean - a.Running.Mean!.to(mean.dtype).flatten()) / runningSigma).clamp(-dmax, dmax);
        return (r, d);
    }

    private static (Tensor Mean, Tensor Deviation) MeanAndDeviation(in ChannelNormArguments a)
    {
        if (a.Mask is null && NormSelection.FormOfChannels(a.Input, a.Weight, a.Bias) is NormForm.Native or NormForm.NativeInFloat32)
        {
            var (mean, variance) = BatchNormFunctional.NativeStatistics(a.Input);
            return (mean, (variance + a.Eps).sqrt());
        }
        var moments = BatchNormFunctional.Statistics(a.Input, a.Mask, a.Eps);
        return (moments.Mean.flatten(), moments.Deviation.flatten());
    }
}
