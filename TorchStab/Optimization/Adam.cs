using TorchSharp.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Adam (Kingma and Ba 2015) that clips, checks and updates in one step: <see cref="stab.optim"/>.</summary>
public sealed class Adam : ClippingAwareOptimizer, IBetas
{
    /// <summary>As <c>stab.optim.Adam</c>.</summary>
    /// <param name="parameters">Groups; what one leaves unset takes <paramref name="defaults"/>.</param>
    /// <param name="defaults">All options but the thresholds must be set.</param>
    /// <param name="nonFinite">What to do with NaN and infinities; null: <see cref="NonFinitePolicy.Skip"/>.</param>
    public Adam(IEnumerable<ParamGroup> parameters, Options defaults, NonFinitePolicy? nonFinite = null) : base(defaults, nonFinite) => AddGroups(parameters);

    /// <summary>The defaults' (beta1, beta2); a group's are its own.</summary>
    public (double, double) Betas
    {
        get => (((Options)_defaults).beta1!.Value, ((Options)_defaults).beta2!.Value);
        set => (((Options)_defaults).beta1, ((Options)_defaults).beta2) = value;
    }

    private protected override MomentState NewState(Parameter parameter) => new State(parameter);

    private protected override ClipOptions NewOptions() => new Options();

    private protected override void Update(ClipOptions options, List<ParameterUpdate> updates) =>
        AdamUpdate.Apply((Options)options, decoupled: false, updates);

    /// <inheritdoc/>
    public sealed class Options : AdamOptions;

    /// <inheritdoc/>
    public sealed class State : AdamState
    {
        internal State(Parameter parameter) : base(parameter) { }
    }

    /// <summary>Parameters with options of their own; those left out take the optimizer's.</summary>
    public sealed class ParamGroup : ClipParamGroup<Options>, IBetas
    {
        /// <summary>An empty group: set <c>Parameters</c>, and <c>Options</c> where they differ.</summary>
        public ParamGroup() { }

        /// <summary>A group with all its options in one object.</summary>
        public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options) { }

        /// <summary>A group; what is null takes the optimizer's.</summary>
        public ParamGroup(IEnumerable<Parameter> parameters, double? lr = null, double? beta1 = null, double? beta2 = null, double? eps = null, double? weight_decay = null,
            bool? amsgrad = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null)
            : base(parameters, AdamOptions.New<Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm)) { }

        /// <summary>A group whose parameters have names, for reports; what is null takes the optimizer's.</summary>
        public ParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, double? lr = null, double? beta1 = null, double? beta2 = null, double? eps = null,
            double? weight_decay = null, bool? amsgrad = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null)
            : base(named_parameters, AdamOptions.New<Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm)) { }

        /// <summary>(beta1, beta2), which some schedulers drive.</summary>
        public (double, double) Betas
        {
            get => (Options.beta1!.Value, Options.beta2!.Value);
            set => (Options.beta1, Options.beta2) = value;
        }
    }
}
