using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>What folding reads of a batch normalization, TorchStab's or TorchSharp's; the tensors are the module's own.</summary>
internal sealed record BatchNormView(long Channels, double Eps, Tensor? Weight, Tensor? Bias, Tensor RunningMean, Tensor RunningVar)
{
    /// <summary>Null for a module that is no batch normalization, or one without running statistics.</summary>
    public static BatchNormView? Of(nn.Module? module) => module switch
    {
        TorchSharp.Modules.BatchNorm { running_mean: not null, running_var: not null } n =>
            new(n.num_features, n.eps, n.weight, n.bias, n.running_mean, n.running_var),
        BatchNorm { running_mean: not null, running_var: not null } n =>
            new(n.num_features, n.eps, n.weight, n.bias, n.running_mean, n.running_var),
        _ => null,
    };

    public static bool IsBatchNorm(nn.Module module) => module is TorchSharp.Modules.BatchNorm or BatchNorm;
}
