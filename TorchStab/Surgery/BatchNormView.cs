using TorchStab.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The part of a batch normalization of either library that folding reads. The tensors are the module's own.</summary>
/// <param name="Dimensions">The number of dimensions after the channels, as in the class's name: 1, 2 or 3; null for a class that accepts any.</param>
internal sealed record BatchNormView(
    long Channels, double Eps, Tensor? Weight, Tensor? Bias, Tensor RunningMean, Tensor RunningVar, int? Dimensions)
{
    /// <summary>
    /// Whether the norm accepts inputs of several ranks, as a BatchNorm1d accepts (N, C) and (N, C, L). Its channels are in dimension 1 of both; the features
    /// of a Linear before it are in the last dimension.
    /// </summary>
    public bool TakesSeveralRanks => Dimensions is not (2 or 3);

    /// <summary>The view of a module; null if it is not a batch normalization, or has no running statistics.</summary>
    public static BatchNormView? Of(nn.Module? module) =>
        module is not null && IsBatchNorm(module) && NormSpec.Of(module) is { } spec
            && NormState.Of(module) is { RunningMean: { } mean, RunningVar: { } variance } state
            ? new(spec.Features, spec.Eps, state.Weight, state.Bias, mean, variance, DimensionsOf(module)) : null;

    private static int? DimensionsOf(nn.Module norm) => norm switch
    {
        TorchSharp.Modules.BatchNorm1d or BatchNorm1d or BatchNormReLU1d or BatchRenorm1d => 1,
        TorchSharp.Modules.BatchNorm2d or BatchNorm2d or BatchNormReLU2d or BatchRenorm2d => 2,
        TorchSharp.Modules.BatchNorm3d or BatchNorm3d or BatchNormReLU3d or BatchRenorm3d => 3,
        _ => null,
    };

    public static bool IsBatchNorm(nn.Module module) => module is TorchSharp.Modules.BatchNorm or BatchNorm;
}
