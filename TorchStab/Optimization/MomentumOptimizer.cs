using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>What <see cref="SGD"/> and <see cref="RMSprop"/> share.</summary>
/// <typeparam name="TOptions">The options of that optimizer.</typeparam>
public abstract class MomentumOptimizer<TOptions> : ClippingAwareOptimizer, IMomentum where TOptions : MomentumOptions, new()
{
    private protected MomentumOptimizer(TOptions defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) { }

    /// <summary>The defaults' momentum; a group's is its own.</summary>
    public double Momentum
    {
        get => ((TOptions)_defaults).momentum!.Value;
        set => ((TOptions)_defaults).momentum = value;
    }

    private protected override ClipOptions NewOptions() => new TOptions();
}
