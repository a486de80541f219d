using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Instance normalization (Ulyanov et al. 2016): y = (x − mean)/√(var + eps)·weight + bias, with the mean and the biased variance of
/// each channel of each sample over its positions.
/// </summary>
/// <remarks>
/// Without running statistics (the default) training and eval mode compute the same. With them, training mode updates them with the mean
/// over the batch of each sample's statistics (the unbiased variance), and eval mode normalizes with them; num_batches_tracked remains 0,
/// and a momentum of null leaves the running statistics unchanged, as in PyTorch. Dtypes: float64, float32, float16, bfloat16; float16 and
/// bfloat16 inputs may have float32 parameters. An empty input gives an empty output and does not change the running statistics.
/// A non-finite value affects only its channel of its sample.
/// </remarks>
public abstract class InstanceNorm : NormBase
{
    private protected InstanceNorm(string name, NormSpec spec) : base(name, spec) { }

    /// <summary>The rank of an input with a batch dimension. An input with one dimension less is a single sample.</summary>
    private protected abstract int BatchedRank { get; }

    /// <summary>Normalizes each channel of each sample of <paramref name="input"/>.</summary>
    /// <param name="input">A batch or a single sample, with a rank that the class accepts.</param>
    /// <returns>The same shape and dtype, contiguous; always a new tensor.</returns>
    /// <exception cref="ArgumentException">The rank, the number of channels or a dtype does not fit, or a channel has only one position
    /// where the input's own statistics are used. The module is not changed then.</exception>
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

    // Without a weight any number of channels can be normalized; PyTorch only warns.
    private void CheckChannels(Tensor input)
    {
        int dim = (int)input.dim() - BatchedRank + 1;
        if (affine && input.size(dim) != num_features)
            throw new ArgumentException($"expected input's size at dim={dim} to match num_features ({num_features}), but got: {input.size(dim)}.",
                nameof(input));
    }
}
