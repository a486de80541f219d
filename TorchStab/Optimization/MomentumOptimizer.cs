using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Base of <see cref="SGD"/> and <see cref="RMSprop"/>.</summary>
/// <typeparam name="TOptions">The class of the optimizer's options.</typeparam>
public abstract class MomentumOptimizer<TOptions> : ClippingAwareOptimizer, IMomentum where TOptions : MomentumOptions, new()
{
    private protected MomentumOptimizer(TOptions defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) { }

    /// <summary>The default momentum; a group may have its own.</summary>
    public double Momentum
    {
        get => ((TOptions)_defaults).momentum!.Value;
        set => ((TOptions)_defaults).momentum = value;
    }

    private protected override ClipOptions NewOptions() => new TOptions();
}
