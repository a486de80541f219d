namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    /// <summary>
    /// What to do with a step whose gradient norm, or <see cref="Loss"/>, is an outlier; default <see cref="SpikePolicy.Off"/>. Setting it clears the
    /// remembered values. Norms
    /// and losses are saved after the state. Under <c>DistributedDataParallel</c> all ranks see the same norm; give them the same loss.
    /// </summary>
    public SpikePolicy Spikes
    {
        get => _guard.Spikes.Policy;
        set => _guard.Spikes.Policy = value;
    }

    /// <summary>
    /// The loss of the next step, which <see cref="Spikes"/> checks too; null (the default): it checks only the gradient norm. Each step resets it to
    /// null; a step with a closure sets it to the closure's loss.
    /// </summary>
    public double? Loss
    {
        get => _guard.Spikes.Loss;
        set => _guard.Spikes.Loss = value;
    }
}
