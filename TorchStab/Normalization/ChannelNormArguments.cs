using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>What one call of batch_norm or instance_norm is given; nothing changes it.</summary>
/// <param name="Input">(N, C, …).</param>
/// <param name="Running">Normalize where the input's own statistics do not, and take these in where they do.</param>
/// <param name="Weight">(C); null for 1.</param>
/// <param name="Bias">(C); null for 0.</param>
/// <param name="Eps">Added to the variance.</param>
/// <param name="Training">Whether the input's own statistics normalize.</param>
internal readonly record struct ChannelNormArguments(Tensor Input, RunningStatistics Running, Tensor? Weight, Tensor? Bias, double Eps, bool Training)
{
    /// <summary>Which values count in the statistics; null for all.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Whether max(0, ·) follows.</summary>
    public bool Relu { get; init; }

    /// <summary>The bounds of batch renormalization; null for none.</summary>
    public (double RMax, double DMax)? Renorm { get; init; }

    /// <summary>What to do where a channel has one value.</summary>
    public SingleValuePolicy SingleValue { get; init; }

    /// <summary>The processes whose batches are normalized together; null for this one alone.</summary>
    public IBatchNormExchange? Exchange { get; init; }

    /// <summary>Whether the batch's statistics are taken to the running ones.</summary>
    public bool IsRenormalized => Renorm is not null && Running.Exist;

    /// <summary>Whether a batch with one value per channel is normalized with the running statistics.</summary>
    public bool MayFallBack => SingleValue == SingleValuePolicy.UseRunningStatistics && Running.Exist;
}

/// <summary>Batch normalization in training over the batches of several processes.</summary>
internal interface IBatchNormExchange
{
    /// <summary>Checks the arguments, exchanges statistics, normalizes, and takes them into the running ones at the end.</summary>
    Tensor Train(in ChannelNormArguments a);
}
