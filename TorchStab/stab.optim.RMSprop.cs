using TorchStab.Modules;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step, as <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// RMSprop (Tieleman and Hinton 2012), PyTorch's formula and defaults: v ← αv + (1−α)g², p ← p − lr · g / (√v + eps); centered subtracts the
        /// square of the mean gradient from v; momentum sums the updates. g is the clipped gradient plus weight_decay · p.
        /// </summary>
        /// <param name="parameters">The parameters to optimize, of any floating dtypes.</param>
        /// <param name="lr">Learning rate; default 0.01.</param>
        /// <param name="alpha">α, the decay of the mean of squared gradients; default 0.99.</param>
        /// <param name="eps">
        /// Added to the denominator; default 1e-8. A smaller value than 1e-22 (1e-161 in float64) counts as that, so that, unlike in PyTorch, a zero
        /// gradient never gives 0/0.
        /// </param>
        /// <param name="weight_decay">L2 penalty, added after clipping; default 0.</param>
        /// <param name="momentum">The factor of the running sum of updates; default 0.</param>
        /// <param name="centered">Whether to divide by the root of the variance; default false.</param>
        /// <param name="maximize">Whether to maximize the objective; default false.</param>
        /// <param name="clipnorm">Keras: each gradient times c / max(its norm, c); null (the default): no clipping.</param>
        /// <param name="clipvalue">Keras: every element to [−c, c]; null (the default): no clipping.</param>
        /// <param name="global_clipnorm">
        /// Keras: all gradients times c / max(their common norm, c); null (the default): no clipping. At most one of the three.
        /// </param>
        /// <param name="nonFinite">How to treat gradients with NaN or infinities; null (the default): <see cref="NonFinitePolicy.Skip"/>.</param>
        /// <param name="master_weights">
        /// Whether float16 and bfloat16 parameters have a float32 copy, <c>master_param</c> in the state, on which the update is computed; the result is
        /// rounded into the parameter. An element that no longer equals its rounded copy (weights were loaded or initialized) is read from the parameter
        /// again. Default false. No effect on float32 and float64 parameters.
        /// </param>
        /// <returns>The optimizer.</returns>
        /// <exception cref="ArgumentException">
        /// A value outside its range or two thresholds at once (with PyTorch's and Keras's messages); no parameters, or a parameter twice.
        /// </exception>
        public static RMSprop RMSprop(IEnumerable<Parameter> parameters, double lr = 0.01, double alpha = 0.99, double eps = 1e-8, double weight_decay = 0,
            double momentum = 0, bool centered = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(new RMSprop.ParamGroup(parameters), Modules.RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm,
                clipvalue, global_clipnorm, master_weights), nonFinite);

        /// <inheritdoc
        /// cref="RMSprop(IEnumerable{Parameter}, double, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?, bool)"/>
        /// <param name="named_parameters">The parameters to optimize, of any floating dtypes, with the names that reports use.</param>
        /// <remarks>
        /// With names, as from <c>model.named_parameters()</c>, reports name the layer with a bad gradient, and <c>rebind</c> finds parameters by name.
        /// </remarks>
        public static RMSprop RMSprop(IEnumerable<(string name, Parameter parameter)> named_parameters, double lr = 0.01, double alpha = 0.99,
            double eps = 1e-8, double weight_decay = 0,
            double momentum = 0, bool centered = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(new RMSprop.ParamGroup(named_parameters), Modules.RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm,
                clipvalue, global_clipnorm, master_weights), nonFinite);

        /// <inheritdoc
        /// cref="RMSprop(IEnumerable{Parameter}, double, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?, bool)"/>
        /// <remarks>Takes groups of parameters. An option that a group does not set has the value given here.</remarks>
        public static RMSprop RMSprop(IEnumerable<RMSprop.ParamGroup> parameters, double lr = 0.01, double alpha = 0.99, double eps = 1e-8,
            double weight_decay = 0,
            double momentum = 0, bool centered = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(parameters, Modules.RMSprop.Options.New(lr, alpha, eps, weight_decay, momentum, centered, maximize, clipnorm, clipvalue,
                global_clipnorm, master_weights),
                nonFinite);
    }
}
