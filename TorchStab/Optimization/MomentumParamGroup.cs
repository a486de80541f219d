using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Parameters of <see cref="SGD"/> or <see cref="RMSprop"/> with options of their own; those left out take the optimizer's.</summary>
/// <typeparam name="TOptions">The options of that optimizer.</typeparam>
public abstract class MomentumParamGroup<TOptions> : ClipParamGroup<TOptions>, IMomentum where TOptions : MomentumOptions
{
    private protected MomentumParamGroup() { }

    private protected MomentumParamGroup(IEnumerable<Parameter> parameters, TOptions options) : base(parameters, options) { }

    private protected MomentumParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, TOptions options) : base(named_parameters, options) { }

    /// <summary>The momentum, which some schedulers drive.</summary>
    public double Momentum
    {
        get => Options.momentum!.Value;
        set => Options.momentum = value;
    }
}
