using TorchStab.Modules;
using Optimizer = TorchSharp.torch.optim.Optimizer;
using Parameter = TorchSharp.Modules.Parameter;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Optimizers that clip, check and update in one step. As <c>torch.optim</c>.</summary>
    public static partial class optim
    {
        /// <summary>
        /// Any <c>torch.optim</c> optimizer with clipping and a check for NaN before each of its steps. Its formula stays its own; three of
        /// TorchSharp 0.107.0's differ from PyTorch's: RAdam applies the learning rate twice, SGD with maximize lets weight decay grow the
        /// weights, AdamW decays by 0 unless told. For the last two use <c>stab.optim</c>'s.
        /// </summary>
        /// <param name="inner">Adagrad, NAdam, Adamax, Adadelta, LBFGS, …; one of <c>stab.optim</c> too. It is disposed with this one.</param>
        /// <param name="clip">The rule; one with a memory (z-score, percentile) serves one optimizer only.</param>
        /// <param name="nonFinite">What to do with NaN and infinities; null (the default): <see cref="NonFinitePolicy.Skip"/>.</param>
        /// <param name="named_parameters">Names for reports; null (the default): positions.</param>
        /// <returns>The optimizer.</returns>
        /// <exception cref="ArgumentException"><paramref name="inner"/> or <paramref name="clip"/> is null, the names are not those of its parameters, or an option of it is not finite.</exception>
        public static ClippedOptimizer ClippedOptimizer(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite = null,
            IEnumerable<(string name, Parameter parameter)>? named_parameters = null) => Modules.ClippedOptimizer.Of(inner, clip, nonFinite, named_parameters);
    }
}
