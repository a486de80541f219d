using TorchStab.Modules;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step. As <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// Stochastic gradient descent, PyTorch's formula: p ← p − lr · g, or with momentum b ← μb + (1 − dampening)g (at first b = g) and
        /// p ← p − lr · b, under Nesterov p ← p − lr · (g + μb); g is the clipped gradient plus weight_decay · p. Under maximize the decay
        /// still shrinks the weights, which TorchSharp's own grows.
        /// </summary>
        /// <param name="parameters">What to optimize, of any floating dtype.</param>
        /// <param name="lr">Learning rate.</param>
        /// <param name="momentum">μ, how much of the running sum stays; default 0.</param>
        /// <param name="dampening">How much of a new gradient does not enter the sum; default 0.</param>
        /// <param name="weight_decay">L2 penalty, added after clipping; default 0.</param>
        /// <param name="nesterov">Whether to look ahead; needs momentum and no dampening. Default false.</param>
        /// <param name="maximize">Whether to climb; default false.</param>
        /// <param name="clipnorm">Keras: each gradient times c / max(its norm, c); null (the default): not.</param>
        /// <param name="clipvalue">Keras: every element to [−c, c]; null (the default): not.</param>
        /// <param name="global_clipnorm">Keras: all gradients times c / max(their common norm, c); null (the default): not. At most one of the three.</param>
        /// <param name="nonFinite">What to do with NaN and infinities; null: <see cref="NonFinitePolicy.Skip"/>.</param>
        /// <returns>The optimizer.</returns>
        /// <exception cref="ArgumentException">
        /// A value outside its range or two thresholds at once (PyTorch's and Keras's words); no parameters, or one twice.
        /// </exception>
        public static SGD SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new([new SGD.ParamGroup(parameters)], Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);

        /// <inheritdoc cref="SGD(IEnumerable{Parameter}, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?)"/>
        /// <param name="named_parameters">What to optimize, of any floating dtype, under the names of reports.</param>
        /// <remarks>With names, as <c>model.named_parameters()</c> gives them, reports tell which layer went bad and <c>rebind</c> finds it again.</remarks>
        public static SGD SGD(IEnumerable<(string name, Parameter parameter)> named_parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new([new SGD.ParamGroup(named_parameters)], Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);

        /// <inheritdoc cref="SGD(IEnumerable{Parameter}, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?)"/>
        /// <remarks>Groups of parameters; what a group leaves unset takes the values here.</remarks>
        public static SGD SGD(IEnumerable<SGD.ParamGroup> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new(parameters, Modules.SGD.Options.New(lr, momentum, dampening, weight_decay, nesterov, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);
    }
}
