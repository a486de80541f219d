using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Base of <see cref="Adam"/> and <see cref="AdamW"/>, which differ only in the weight decay.</summary>
/// <typeparam name="TOptions">The class of the optimizer's options.</typeparam>
public abstract class AdamOptimizer<TOptions> : ClippingAwareOptimizer, IBetas where TOptions : AdamOptions, new()
{
    private protected AdamOptimizer(TOptions defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) { }

    /// <summary>The default (beta1, beta2); a group may have its own.</summary>
    public (double, double) Betas
    {
        get => ((TOptions)_defaults).Betas;
        set => ((TOptions)_defaults).Betas = value;
    }

    private protected override ClipOptions NewOptions() => new TOptions();
}
