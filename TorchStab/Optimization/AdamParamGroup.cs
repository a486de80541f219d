using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Parameters of <see cref="Adam"/> or <see cref="AdamW"/> with options of their own; those left out take the optimizer's.</summary>
/// <typeparam name="TOptions">The options of that optimizer.</typeparam>
public abstract class AdamParamGroup<TOptions> : ClipParamGroup<TOptions>, IBetas where TOptions : AdamOptions
{
    private protected AdamParamGroup() { }

    private protected AdamParamGroup(IEnumerable<Parameter> parameters, TOptions options) : base(parameters, options) { }

    private protected AdamParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, TOptions options) : base(named_parameters, options) { }

    /// <summary>(beta1, beta2), which some schedulers drive.</summary>
    public (double, double) Betas
    {
        get => Options.Betas;
        set => Options.Betas = value;
    }
}
