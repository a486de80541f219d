using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Instance normalization (Ulyanov et al. 2016): y = (x − mean)/√(var + eps)·weight + bias, with mean and biased variance of each
/// channel of each sample over its positions.
/// </summary>
/// <remarks>
/// Without running statistics (the default) training and eval do the same. With them, training takes in the mean over the batch of
/// each sample's statistics (the unbiased variance), and eval normalizes with the running ones; num_batches_tracked stays 0, and a
/// momentum of null leaves the running statistics as they are, as in PyTorch. Dtypes: float64, float32, float16, bfloat16, the half
/// ones also with float32 parameters. An input without elements gives such an output and leaves the running statistics as they are.
/// Non-finite values stay within their channel of their sample.
/// </remarks>
public abstract class InstanceNorm : NormBase
{
    private protected InstanceNorm(string name, NormSpec spec) : base(name, spec) { }

    /// <summary>The rank of an input with a batch dimension; one less is a single sample.</summary>
    private protected abstract int BatchedRank { get; }

    /// <summary>Normalizes <paramref name="input"/>.</summary>
    /// <param name="input">A batch or a single sample, of the ranks the class is for.</param>
    /// <returns>The same shape and dtype, contiguous; always a new tensor.</returns>
    /// <exception cref="ArgumentException">The rank, the number of channels or a dtype does not fit, or a channel has one position only
    /// and its own statistics are to be used. The module is then as it was.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        CheckRank(input);
        CheckChannels(input);
        bool ownStatistics = training || !track_running_stats;
        var running = new RunningStatistics(running_mean, running_var, Batches: null, momentum ?? 0);
        if (input.dim() == BatchedRank) return InstanceNormFunctional.Apply(new(input, running, WeightOrNull, bias, eps, ownStatistics));
        using var batch = input.unsqueeze(0);
        using var output = InstanceNormFunctional.Apply(new(batch, running, WeightOrNull, bias, eps, ownStatistics));
        return output.squeeze(0);
    }

    private protected override void CheckRank(Tensor input) => ShapeCheck.Rank(input, BatchedRank - 1, BatchedRank);

    // Without weights any number of channels can be normalized: PyTorch only warns there.
    private void CheckChannels(Tensor input)
    {
        int dim = (int)input.dim() - BatchedRank + 1;
        if (affine && input.size(dim) != num_features)
            throw new ArgumentException($"expected input's size at dim={dim} to match num_features ({num_features}), but got: {input.size(dim)}.", nameof(input));
    }
}
