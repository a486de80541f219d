using TorchStab.Modules;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step, as <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// Stochastic gradient descent, PyTorch's formula: p ← p − lr · g, or with momentum b ← μb + (1 − dampening)g (at first b = g) and p ← p − lr · b,
        /// under Nesterov p ← p − lr · (g + μb); g is the clipped gradient plus weight_decay · p. Under maximize the decay still shrinks the weights; in
        /// TorchSharp's SGD it grows them.
        /// </summary>
        /// <param name="parameters">The parameters to optimize, of any floating dtypes.</param>
        /// <param name="lr">Learning rate.</param>
        /// <param name="momentum">μ, the factor of the running sum; default 0.</param>
        /// <param name="dampening">The share of a new gradient that does not enter the sum; default 0.</param>
        /// <param name="weight_decay">L2 penalty, added after clipping; default 0.</param>
        /// <param name="nesterov">Whether to use Nesterov momentum; needs momentum and no dampening. Default false.</param>
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
        public static SGD SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0,
            bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(new SGD.ParamGroup(parameters), Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm, clipvalue,
                global_clipnorm, master_weights), nonFinite);

        /// <inheritdoc cref="SGD(IEnumerable{Parameter}, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?, bool)"/>
        /// <param name="named_parameters">The parameters to optimize, of any floating dtypes, with the names that reports use.</param>
        /// <remarks>
        /// With names, as from <c>model.named_parameters()</c>, reports name the layer with a bad gradient, and <c>rebind</c> finds parameters by name.
        /// </remarks>
        public static SGD SGD(IEnumerable<(string name, Parameter parameter)> named_parameters, double lr, double momentum = 0, double dampening = 0,
            double weight_decay = 0, bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(new SGD.ParamGroup(named_parameters), Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm,
                clipvalue, global_clipnorm, master_weights), nonFinite);

        /// <inheritdoc cref="SGD(IEnumerable{Parameter}, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?, bool)"/>
        /// <remarks>Takes groups of parameters. An option that a group does not set has the value given here.</remarks>
        public static SGD SGD(IEnumerable<SGD.ParamGroup> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0,
            bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null,
            bool master_weights = false) =>
            new(parameters, Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm, clipvalue,
                global_clipnorm, master_weights),
                nonFinite);
    }
}
