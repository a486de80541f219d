using TorchStab.Modules;
using Optimizer = TorchSharp.torch.optim.Optimizer;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step, as <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// Wraps any <c>torch.optim</c> optimizer: clips, and checks for NaN, before each of its steps. The update is that of the inner optimizer. Three
        /// of TorchSharp 0.107.0's optimizers differ from PyTorch's: RAdam applies the learning rate twice, weight decay of SGD with maximize grows the
        /// weights, and AdamW's default decay is 0. Instead of the last two use those of <c>stab.optim</c>.
        /// </summary>
        /// <param name="inner">Adagrad, NAdam, Adamax, Adadelta, LBFGS, …; or one of <c>stab.optim</c>. The new optimizer disposes it.</param>
        /// <param name="clip">The rule. A rule with a memory (ZScore, Percentile) must not be shared by several optimizers.</param>
        /// <param name="nonFinite">How to treat gradients with NaN or infinities; null (the default): <see cref="NonFinitePolicy.Skip"/>.</param>
        /// <param name="named_parameters">The names of the parameters in reports; null (the default): their positions.</param>
        /// <returns>The optimizer.</returns>
        /// <exception cref="ArgumentException">
        /// <paramref name="inner"/> or <paramref name="clip"/> is null, the names are not those of its parameters, or an option of it is not finite.
        /// </exception>
        public static ClippedOptimizer ClippedOptimizer(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite = null,
            IEnumerable<(string name, Parameter parameter)>? named_parameters = null) => Modules.ClippedOptimizer.Of(inner, clip, nonFinite, named_parameters);
    }
}
