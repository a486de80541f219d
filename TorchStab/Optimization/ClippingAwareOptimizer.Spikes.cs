namespace TorchStab.Modules;

public abstract partial class ClippingAwareOptimizer
{
    /// <summary>
    /// What to do with a step whose gradient norm, or <see cref="Loss"/>, is an outlier; default <see cref="SpikePolicy.Off"/>. Setting it forgets the values remembered so far. Norms
    /// and losses are saved behind the state. Under <c>DistributedDataParallel</c> all ranks see the same norm; give them the same loss.
    /// </summary>
    public SpikePolicy Spikes
    {
        get => _guard.Spikes.Policy;
        set => _guard.Spikes.Policy = value;
    }

    /// <summary>The loss of the next step, which <see cref="Spikes"/> looks at too; null (the default): the gradient norm alone. Each step uses it up; a closure's loss is set by the step.</summary>
    public double? Loss
    {
        get => _guard.Spikes.Loss;
        set => _guard.Spikes.Loss = value;
    }
}
