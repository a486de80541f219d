using TorchStab.Modules;
using Module = TorchSharp.torch.nn.Module;

namespace TorchStab;

public static partial class stab
{
    public static partial class optim
    {
        /// <summary>
        /// Parameter groups with and without weight decay, by timm's rule: λ(p) = 0 for biases and parameters of at most one dimension (the weights of
        /// norms among them), else λ(p) = weight_decay. <c>stab.optim.AdamW(stab.optim.param_groups_weight_decay(model, 0.05), lr: 1e-3)</c>.
        /// </summary>
        /// <param name="model">The model with the parameters; those with <c>requires_grad = false</c> are left out.</param>
        /// <param name="weight_decay">The weight decay of all other parameters, at least 0; default 1e-5.</param>
        /// <param name="no_weight_decay_list">
        /// Names of more parameters without decay; <c>*</c> matches any text and <c>?</c> one character: <c>"pos_embed"</c>, <c>"*.embedding.*"</c>; null
        /// (the default): none.
        /// </param>
        /// <returns>
        /// The groups; pass them to any optimizer's factory in <c>stab.optim</c> or <c>torch.optim</c>. They keep the names, so that reports name layers.
        /// <c>ToString()</c> lists the groups.
        /// </returns>
        /// <remarks>
        /// The group of a parameter depends on its shape and its name, never on the type of its module, so that swapping norms changes no group. A weight
        /// that several modules share is in one group, once, under its first name. The groups' decay overrides the weight_decay argument of the optimizer.
        /// </remarks>
        /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
        /// <exception cref="ArgumentOutOfRangeException">A weight decay that is negative or not finite.</exception>
        public static WeightDecayGroups param_groups_weight_decay(Module model, double weight_decay = 1e-5, IEnumerable<string>? no_weight_decay_list = null) =>
            new(model, weight_decay, no_weight_decay_list);
    }
}
