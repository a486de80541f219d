namespace TrainMnist;

/// <summary>
/// What one epoch showed: training loss and gradients as means over its steps, accuracy on the test images after it, and the
/// share of its steps in which clipping changed a gradient (null where nothing clips).
/// </summary>
internal sealed record Epoch(int Number, double Loss, double Accuracy, GradientNorms Gradients, double? ClippedShare);

/// <summary>The training of one network so far.</summary>
internal sealed class History(NetworkSettings network)
{
    public NetworkSettings Network { get; } = network;

    public List<Epoch> Epochs { get; } = [];

    /// <summary>Why training ended before its time: a loss that is not finite, or steps that the optimizer refused; null if it did not.</summary>
    public string? Diverged { get; set; }
}
