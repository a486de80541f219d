using TorchStab.Modules;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step. As <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// Adam (Kingma and Ba 2015, arXiv:1412.6980; amsgrad: Reddi et al. 2018), PyTorch's formula and defaults:
        /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + eps), with g the clipped gradient plus weight_decay · p.
        /// </summary>
        /// <param name="parameters">What to optimize, of any floating dtype.</param>
        /// <param name="lr">Learning rate; default 1e-3.</param>
        /// <param name="beta1">Decay of the mean of gradients; default 0.9.</param>
        /// <param name="beta2">Decay of the mean of squared gradients; default 0.999.</param>
        /// <param name="eps">Added to the denominator; default 1e-8. At least 1e-22 counts (1e-161 in float64): unlike PyTorch a zero gradient never gives 0/0.</param>
        /// <param name="weight_decay">L2 penalty, added after clipping; default 0.</param>
        /// <param name="amsgrad">Whether to divide by the largest v so far; default false.</param>
        /// <param name="maximize">Whether to climb; default false.</param>
        /// <param name="clipnorm">Keras: each gradient times c / max(its norm, c); null (the default): not.</param>
        /// <param name="clipvalue">Keras: every element to [−c, c]; null (the default): not.</param>
        /// <param name="global_clipnorm">Keras: all gradients times c / max(their common norm, c); null (the default): not. At most one of the three.</param>
        /// <param name="nonFinite">What to do with NaN and infinities; null: <see cref="NonFinitePolicy.Skip"/>.</param>
        /// <returns>The optimizer.</returns>
        /// <exception cref="ArgumentException">
        /// A value outside its range or two thresholds at once (PyTorch's and Keras's words); no parameters, or one twice.
        /// </exception>
        public static Adam Adam(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
            double weight_decay = 0, bool amsgrad = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new([new Adam.ParamGroup(parameters)], AdamOptions.New<Adam.Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);

        /// <inheritdoc cref="Adam(IEnumerable{Parameter}, double, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?)"/>
        /// <param name="named_parameters">What to optimize, of any floating dtype, under the names of reports.</param>
        /// <remarks>With names, as <c>model.named_parameters()</c> gives them, reports tell which layer went bad and <c>rebind</c> finds it again.</remarks>
        public static Adam Adam(IEnumerable<(string name, Parameter parameter)> named_parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999,
            double eps = 1e-8, double weight_decay = 0, bool amsgrad = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new([new Adam.ParamGroup(named_parameters)], AdamOptions.New<Adam.Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);

        /// <inheritdoc cref="Adam(IEnumerable{Parameter}, double, double, double, double, double, bool, bool, double?, double?, double?, NonFinitePolicy?)"/>
        /// <remarks>Groups of parameters; what a group leaves unset takes the values here.</remarks>
        public static Adam Adam(IEnumerable<Adam.ParamGroup> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
            double weight_decay = 0, bool amsgrad = false, bool maximize = false,
            double? clipnorm = null, double? clipvalue = null, double? global_clipnorm = null, NonFinitePolicy? nonFinite = null) =>
            new(parameters, AdamOptions.New<Adam.Options>(lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, clipnorm, clipvalue, global_clipnorm), nonFinite);
    }
}
