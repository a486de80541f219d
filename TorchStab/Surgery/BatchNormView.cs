using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>What folding reads of a batch normalization, TorchStab's or TorchSharp's; the tensors are the module's own.</summary>
/// <param name="Dimensions">How many dimensions a value of each channel has in the input: 1, 2 or 3 as in the class's name; null for a class that takes any.</param>
internal sealed record BatchNormView(
    long Channels, double Eps, Tensor? Weight, Tensor? Bias, Tensor RunningMean, Tensor RunningVar, int? Dimensions)
{
    /// <summary>
    /// Whether the norm takes inputs of more than one rank: a BatchNorm1d takes (N, C) and (N, C, L). Its channels are in dimension 1 of either, those
    /// of the layer before it are not.
    /// </summary>
    public bool TakesSeveralRanks => Dimensions is not (2 or 3);

    /// <summary>Null for a module that is no batch normalization, or one without running statistics.</summary>
    public static BatchNormView? Of(nn.Module? module) => module switch
    {
        TorchSharp.Modules.BatchNorm { running_mean: not null, running_var: not null } n =>
            new(n.num_features, n.eps, n.weight, n.bias, n.running_mean, n.running_var, DimensionsOf(n)),
        BatchNorm { running_mean: not null, running_var: not null } n =>
            new(n.num_features, n.eps, n.weight, n.bias, n.running_mean, n.running_var, DimensionsOf(n)),
        _ => null,
    };

    private static int? DimensionsOf(nn.Module norm) => norm switch
    {
        TorchSharp.Modules.BatchNorm1d or BatchNorm1d or BatchNormReLU1d or BatchRenorm1d => 1,
        TorchSharp.Modules.BatchNorm2d or BatchNorm2d or BatchNormReLU2d or BatchRenorm2d => 2,
        TorchSharp.Modules.BatchNorm3d or BatchNorm3d or BatchNormReLU3d or BatchRenorm3d => 3,
        _ => null,
    };

    public static bool IsBatchNorm(nn.Module module) => module is TorchSharp.Modules.BatchNorm or BatchNorm;
}
