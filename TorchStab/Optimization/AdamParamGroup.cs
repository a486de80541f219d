using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>
/// A group of parameters of <see cref="Adam"/> or <see cref="AdamW"/> with its own options; an option that is not set takes the optimizer's value.
/// </summary>
/// <typeparam name="TOptions">The class of the optimizer's options.</typeparam>
public abstract class AdamParamGroup<TOptions> : ClipParamGroup<TOptions>, IBetas where TOptions : AdamOptions
{
    private protected AdamParamGroup() { }

    private protected AdamParamGroup(IEnumerable<Parameter> parameters, TOptions options) : base(parameters, options) { }

    private protected AdamParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, TOptions options) : base(named_parameters, options) { }

    /// <summary>(beta1, beta2), which some schedulers change.</summary>
    public (double, double) Betas
    {
        get => Options.Betas;
        set => Options.Betas = value;
    }
}
