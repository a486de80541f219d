using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The arguments of one call of batch_norm or instance_norm; immutable.</summary>
/// <param name="Input">(N, C, …).</param>
/// <param name="Running">The running statistics: used in eval mode, updated in training mode.</param>
/// <param name="Weight">Shape (C); null: 1.</param>
/// <param name="Bias">Shape (C); null: 0.</param>
/// <param name="Eps">Added to the variance.</param>
/// <param name="Training">Whether to normalize with the input's own statistics.</param>
internal readonly record struct ChannelNormArguments(Tensor Input, RunningStatistics Running, Tensor? Weight, Tensor? Bias, double Eps, bool Training)
{
    /// <summary>Which values count in the statistics; null: all.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Whether the output is max(0, ·) of the normalized values.</summary>
    public bool Relu { get; init; }

    /// <summary>The bounds of batch renormalization; null: no renormalization.</summary>
    public (double RMax, double DMax)? Renorm { get; init; }

    /// <summary>What to do when a channel has only one value.</summary>
    public SingleValuePolicy SingleValue { get; init; }

    /// <summary>The processes whose batches are normalized together; null: only this process.</summary>
    public IBatchNormExchange? Exchange { get; init; }

    /// <summary>Whether batch renormalization applies.</summary>
    public bool IsRenormalized => Renorm is not null && Running.Exist;

    /// <summary>Whether a batch with one value per channel is normalized with the running statistics.</summary>
    public bool MayFallBack => SingleValue == SingleValuePolicy.UseRunningStatistics && Running.Exist;
}

/// <summary>Batch normalization in training over the batches of several processes.</summary>
internal interface IBatchNormExchange
{
    /// <summary>Checks the arguments, exchanges statistics, normalizes, and updates the running statistics last.</summary>
    Tensor Train(in ChannelNormArguments a);
}
