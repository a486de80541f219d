using TorchSharp.Modules;
using TorchStab.Optimization;

namespace TorchStab.Modules;

/// <summary>AdamW (Loshchilov and Hutter 2019) that clips, checks and updates in one step: <see cref="stab.optim"/>.</summary>
public sealed class AdamW : AdamOptimizer<AdamW.Options>
{
    /// <summary>Creates the optimizer as <c>stab.optim.AdamW</c>.</summary>
    /// <param name="parameters">Parameter groups; an option that a group does not set takes its value from <paramref name="defaults"/>.</param>
    /// <param name="defaults">All options but the thresholds must be set.</param>
    /// <param name="nonFinite">What to do with NaN and infinities; null (the default): <see cref="NonFinitePolicy.Skip"/>.</param>
    /// <exception cref="ArgumentException">An option is not set or outside its range, there are no parameters, or a parameter appears twice.</exception>
    public AdamW(IEnumerable<ParamGroup> parameters, Options defaults, NonFinitePolicy? nonFinite = null) : base(defaults, nonFinite) => AddGroups(parameters);

    internal AdamW(ParamGroup only, Options defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) => AddOnly(only);

    private protected override MomentState NewState(Parameter parameter) => new State(parameter);

    private protected override void Update(ClipOptions options, List<ParameterUpdate> updates) =>
        AdamUpdate.Apply((Options)options, decoupled: true, updates);

    /// <inheritdoc/>
    public sealed class Options : AdamOptions;

    /// <inheritdoc/>
    public sealed class State : AdamState
    {
        internal State(Parameter parameter) : base(parameter) { }
    }

    /// <summary>A group of parameters of AdamW with options of its own; an option that is not set takes the optimizer's value.</summary>
    public sealed class ParamGroup : AdamParamGroup<Options>
    {
        /// <summary>An empty group for AdamW: set <c>Parameters</c>, and <c>Options</c> if they differ from the optimizer's.</summary>
        public ParamGroup() { }

        /// <summary>A group for AdamW whose options are in one object.</summary>
        /// <param name="parameters">The parameters to optimize.</param>
        /// <param name="options">The options; a null takes the optimizer's value.</param>
        public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options) { }

        /// <inheritdoc cref="Adam.ParamGroup.ParamGroup(IEnumerable{Parameter}, double?, double?, double?, double?, double?, bool?, bool?, double?, double?,
        /// double?, bool?)"/>
        public ParamGroup(IEnumerable<Parameter> parameters, double? lr = null, double? beta1 = null, double? beta2 = null, double? eps = null,
            double? weight_decay = null, bool? amsgrad = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null,
            double? global_clipnorm = null, bool? master_weights = null)
            : base(parameters, AdamOptions.New<Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm,
                master_weights))
        {
        }

        /// <summary>A group for AdamW whose parameters have names, which reports use; a null takes the optimizer's value.</summary>
        /// <param name="named_parameters">The parameters to optimize, with the names that reports use.</param>
        /// <inheritdoc cref="Adam.ParamGroup.ParamGroup(IEnumerable{Parameter}, double?, double?, double?, double?, double?, bool?, bool?, double?, double?,
        /// double?, bool?)"/>
        /// <exception cref="ArgumentNullException"><paramref name="named_parameters"/> is null.</exception>
        public ParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, double? lr = null, double? beta1 = null, double? beta2 = null,
            double? eps = null, double? weight_decay = null, bool? amsgrad = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null,
            double? global_clipnorm = null, bool? master_weights = null)
            : base(named_parameters, AdamOptions.New<Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm,
                master_weights))
        {
        }
    }
}
