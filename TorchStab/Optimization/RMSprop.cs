using TorchSharp.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>RMSprop (Tieleman and Hinton 2012) that clips, checks and updates in one step: <see cref="stab.optim"/>.</summary>
public sealed partial class RMSprop : ClippingAwareOptimizer, IMomentum
{
    /// <summary>As <c>stab.optim.RMSprop</c>.</summary>
    /// <param name="parameters">Groups; what one leaves unset takes <paramref name="defaults"/>.</param>
    /// <param name="defaults">All options but the thresholds must be set.</param>
    /// <param name="nonFinite">What to do with NaN and infinities; null: <see cref="NonFinitePolicy.Skip"/>.</param>
    public RMSprop(IEnumerable<ParamGroup> parameters, Options defaults, NonFinitePolicy? nonFinite = null) : base(defaults, nonFinite) => AddGroups(parameters);

    /// <summary>The defaults' momentum; a group's is its own.</summary>
    public double Momentum
    {
        get => ((Options)_defaults).momentum!.Value;
        set => ((Options)_defaults).momentum = value;
    }

    private protected override string FileName => "RMSProp"; // TorchSharp's spelling

    private protected override MomentState NewState(Parameter parameter) => new State(parameter);

    private protected override ClipOptions NewOptions() => new Options();

    private protected override void Update(ClipOptions options, List<ParameterUpdate> updates) =>
        RMSpropUpdate.Apply((Options)options, updates);

    /// <summary>Parameters with options of their own; those left out take the optimizer's.</summary>
    public sealed class ParamGroup : ClipParamGroup<Options>, IMomentum
    {
        /// <summary>An empty group: set <c>Parameters</c>, and <c>Options</c> where they differ.</summary>
        public ParamGroup() { }

        /// <summary>A group with all its options in one object.</summary>
        public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options) { }

        /// <summary>A group; what is null takes the optimizer's.</summary>
        public ParamGroup(IEnumerable<Parameter> parameters, double? lr = null, double? alpha = null, double? eps = null, double? weight_decay = null,
            double? momentum = null, bool? centered = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null)
            : base(parameters, RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm, clipvalue, global_clipnorm)) { }

        /// <summary>A group whose parameters have names, for reports; what is null takes the optimizer's.</summary>
        public ParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, double? lr = null, double? alpha = null, double? eps = null,
            double? weight_decay = null, double? momentum = null, bool? centered = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null)
            : base(named_parameters, RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm, clipvalue, global_clipnorm)) { }

        /// <summary>The momentum, which some schedulers drive.</summary>
        public double Momentum
        {
            get => Options.momentum!.Value;
            set => Options.momentum = value;
        }
    }
}
