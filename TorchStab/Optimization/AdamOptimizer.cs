using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>What <see cref="Adam"/> and <see cref="AdamW"/> share: all but where the weight decay goes.</summary>
/// <typeparam name="TOptions">The options of that optimizer.</typeparam>
public abstract class AdamOptimizer<TOptions> : ClippingAwareOptimizer, IBetas where TOptions : AdamOptions, new()
{
    private protected AdamOptimizer(TOptions defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) { }

    /// <summary>The defaults' (beta1, beta2); a group's are its own.</summary>
    public (double, double) Betas
    {
        get => ((TOptions)_defaults).Betas;
        set => ((TOptions)_defaults).Betas = value;
    }

    private protected override ClipOptions NewOptions() => new TOptions();
}
