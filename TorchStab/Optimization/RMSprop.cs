using TorchSharp.Modules;
using TorchStab.Optimization;

namespace TorchStab.Modules;

/// <summary>RMSprop (Tieleman and Hinton 2012) that clips, checks and updates in one step: <see cref="stab.optim"/>.</summary>
public sealed partial class RMSprop : MomentumOptimizer<RMSprop.Options>
{
    /// <summary>Creates the optimizer as <c>stab.optim.RMSprop</c>.</summary>
    /// <param name="parameters">Parameter groups; an option that a group does not set takes its value from <paramref name="defaults"/>.</param>
    /// <param name="defaults">All options but the thresholds must be set.</param>
    /// <param name="nonFinite">What to do with NaN and infinities; null (the default): <see cref="NonFinitePolicy.Skip"/>.</param>
    /// <exception cref="ArgumentException">An option is not set or outside its range, there are no parameters, or a parameter appears twice.</exception>
    public RMSprop(IEnumerable<ParamGroup> parameters, Options defaults, NonFinitePolicy? nonFinite = null)
        : base(defaults, nonFinite) => AddGroups(parameters);

    internal RMSprop(ParamGroup only, Options defaults, NonFinitePolicy? nonFinite) : base(defaults, nonFinite) => AddOnly(only);

    private protected override string FileName => "RMSProp"; // TorchSharp's spelling

    private protected override MomentState NewState(Parameter parameter) => new State(parameter);

    private protected override void Update(ClipOptions options, List<ParameterUpdate> updates) =>
        RMSpropUpdate.Apply((Options)options, updates);

    /// <summary>A group of parameters of RMSprop with options of its own; an option that is not set takes the optimizer's value.</summary>
    public sealed class ParamGroup : MomentumParamGroup<Options>
    {
        /// <summary>An empty group for RMSprop: set <c>Parameters</c>, and <c>Options</c> if they differ from the optimizer's.</summary>
        public ParamGroup() { }

        /// <summary>A group for RMSprop whose options are in one object.</summary>
        /// <param name="parameters">The parameters to optimize.</param>
        /// <param name="options">The options; a null takes the optimizer's value.</param>
        public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options) { }

        /// <summary>A group for RMSprop; a null takes the optimizer's value. The values are checked when the group is added to an optimizer.</summary>
        /// <param name="parameters">The parameters to optimize.</param>
        /// <param name="lr">Learning rate; null (the default): the optimizer's.</param>
        /// <param name="alpha">Decay of the mean of squared gradients; null (the default): the optimizer's.</param>
        /// <param name="eps">Added to the denominator; null (the default): the optimizer's.</param>
        /// <param name="weight_decay">Weight decay; null (the default): the optimizer's.</param>
        /// <param name="momentum">The factor of the previous running sum; null (the default): the optimizer's.</param>
        /// <param name="centered">Whether to divide by the square root of the variance; null (the default): the optimizer's.</param>
        /// <param name="maximize">Whether to maximize the loss; null (the default): the optimizer's.</param>
        /// <param name="clipnorm">Multiplies each gradient by c / max(its norm, c); null (the default): the optimizer's rule.</param>
        /// <param name="clipvalue">Clamps every element to [−c, c]; null (the default): the optimizer's rule.</param>
        /// <param name="global_clipnorm">
        /// Multiplies all gradients of the group by c / max(their common norm, c); null (the default): the optimizer's rule.
        /// </param>
        /// <param name="master_weights">Whether half-precision parameters have float32 master copies; null (the default): the optimizer's.</param>
        public ParamGroup(IEnumerable<Parameter> parameters, double? lr = null, double? alpha = null, double? eps = null, double? weight_decay = null,
            double? momentum = null, bool? centered = null, bool? maximize = null, double? clipnorm = null, double? clipvalue = null,
            double? global_clipnorm = null, bool? master_weights = null)
            : base(parameters, RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm, clipvalue, global_clipnorm,
                master_weights))
        {
        }

        /// <summary>A group for RMSprop whose parameters have names, which reports use; a null takes the optimizer's value.</summary>
        /// <param name="named_parameters">The parameters to optimize, with the names that reports use.</param>
        /// <inheritdoc cref="ParamGroup(IEnumerable{Parameter}, double?, double?, double?, double?, double?, bool?, bool?, double?, double?, double?, bool?)"/>
        /// <exception cref="ArgumentNullException"><paramref name="named_parameters"/> is null.</exception>
        public ParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, double? lr = null, double? alpha = null, double? eps = null,
            double? weight_decay = null, double? momentum = null, bool? centered = null, bool? maximize = null, double? clipnorm = null,
            double? clipvalue = null, double? global_clipnorm = null, bool? master_weights = null)
            : base(named_parameters, RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm, clipvalue, global_clipnorm,
                master_weights))
        {
        }
    }
}
