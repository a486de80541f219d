using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>
/// A group of parameters of <see cref="SGD"/> or <see cref="RMSprop"/> with its own options; an option that is not set takes the optimizer's value.
/// </summary>
/// <typeparam name="TOptions">The class of the optimizer's options.</typeparam>
public abstract class MomentumParamGroup<TOptions> : ClipParamGroup<TOptions>, IMomentum where TOptions : MomentumOptions
{
    private protected MomentumParamGroup() { }

    private protected MomentumParamGroup(IEnumerable<Parameter> parameters, TOptions options) : base(parameters, options) { }

    private protected MomentumParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, TOptions options)
        : base(named_parameters, options) { }

    /// <summary>The momentum, which some schedulers change.</summary>
    public double Momentum
    {
        get => Options.momentum!.Value;
        set => Options.momentum = value;
    }
}
