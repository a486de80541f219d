using TorchStab.Reparametrization;
using TorchStab.Surgery;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        public static partial class utils
        {
            /// <summary>Weights that are computed from other parameters, as <c>torch.nn.utils.parametrizations</c>.</summary>
            public static class parametrizations
            {
                /// <summary>
                /// Weight normalization: w = g·v/‖v‖, the norm over all dimensions of the weight but one. As
                /// <c>torch.nn.utils.parametrizations.weight_norm</c>.
                /// </summary>
                /// <param name="module">
                /// A Linear, Conv1d to 3d, ConvTranspose1d to 3d or Embedding of torch.nn, a cell of <c>stab.nn</c>'s recurrent modules; or a model, in which
                /// all of those that have such a weight are parametrized, in place. Any floating-point dtype.
                /// </param>
                /// <param name="name">The weight: default "weight"; of a cell "weight_ih" or "weight_hh".</param>
                /// <param name="dim">The dimension that keeps a norm for each index, default 0; null: one norm for the whole tensor.</param>
                /// <returns>
                /// The module to use from now on. A layer's place is taken by a <see cref="Modules.Parametrized"/> (TorchSharp's layers can't compute their
                /// weight), with the layer's bias and hooks; a cell and a model are returned themselves. v is the layer's own Parameter object
                /// (<c>parametrizations.weight.original1</c>), g a new one (<c>parametrizations.weight.original0</c>) that starts as ‖weight‖, so that the
                /// outputs stay what they were. Build the optimizer afterwards.
                /// </returns>
                /// <exception cref="ArgumentNullException"><paramref name="module"/> or <paramref name="name"/> is null.</exception>
                /// <exception cref="ArgumentException">Nothing in the module can be parametrized under this name, or <paramref name="dim"/> is no dimension of
                /// a layer's weight.</exception>
                /// <exception cref="InvalidOperationException">
                /// A part of the model can't be parametrized (a field holds the layer's sealed class, two modules share the weight, …): the message lists each
                /// with what to change, and the model is unchanged. Or as for <see cref="swap_norms_"/>.
                /// </exception>
                /// <exception cref="NotSupportedException">As for <see cref="swap_norms_"/>, of a model.</exception>
                /// <remarks>
                /// Salimans and Kingma 2016 (arXiv 1602.07868). Where v is zero throughout a row (an embedding's padding) w is zero too, where PyTorch gives
                /// NaN. Gradients of any order. <c>stab.nn.init.initialize_</c> draws v and sets g to its norms.
                /// </remarks>
                public static Module<Tensor, Tensor> weight_norm(Module<Tensor, Tensor> module, string name = "weight", long? dim = 0) =>
                    (Module<Tensor, Tensor>)ParametrizationSurgery.Register(module, name, ParametrizationRule.WeightNorm(dim));

                /// <inheritdoc cref="weight_norm(Module{Tensor, Tensor}, string, long?)"/>
                public static Module weight_norm(Module module, string name = "weight", long? dim = 0) =>
                    ParametrizationSurgery.Register(module, name, ParametrizationRule.WeightNorm(dim));

                /// <inheritdoc cref="weight_norm(Module{Tensor, Tensor}, string, long?)"/>
                /// <param name="module">A layer, a cell, or a model.</param>
                /// <param name="report">What was parametrized, and what could not be, with the line to change: those layers stay as they are.</param>
                /// <param name="name">The weight: default "weight"; of a cell "weight_ih" or "weight_hh".</param>
                /// <param name="dim">The dimension that keeps a norm for each index, default 0; null: one norm for the whole tensor.</param>
                /// <param name="filter">Which parts of the model, by path as in <c>named_modules()</c>; null (the default): all.</param>
                public static Module weight_norm(Module module, out SurgeryReport report, string name = "weight", long? dim = 0,
                    Func<string, bool>? filter = null) =>
                    ParametrizationSurgery.Register(module, name, ParametrizationRule.WeightNorm(dim), filter, out report);

                /// <summary>
                /// Spectral normalization: w = W/σ, σ the largest singular value of W as a matrix, found by power iteration:
                /// u ← Wv/‖Wv‖, v ← Wᵀu/‖Wᵀu‖, σ = uᵀWv. As <c>torch.nn.utils.parametrizations.spectral_norm</c>.
                /// </summary>
                /// <param name="module">As for <see cref="weight_norm(Module{Tensor, Tensor}, string, long?)"/>. Any floating-point dtype.</param>
                /// <param name="name">The weight: default "weight"; of a cell "weight_ih" or "weight_hh".</param>
                /// <param name="n_power_iterations">Power iterations in each call in training mode, at least 1; default 1. 15 run at the start, none in eval
                /// mode.</param>
                /// <param name="eps">The least length that a vector is divided by; default 1e-12.</param>
                /// <param name="dim">The dimension of the weight that becomes the matrix's rows; null (the default): 1 for transposed convolutions, 0 for
                /// others.</param>
                /// <returns>
                /// The module to use from now on, as for <see cref="weight_norm(Module{Tensor, Tensor}, string, long?)"/>. W is the layer's own Parameter
                /// object (<c>parametrizations.weight.original</c>); u and v are buffers (<c>parametrizations.weight.0._u</c>, <c>_v</c>).
                /// </returns>
                /// <exception cref="ArgumentNullException"><paramref name="module"/> or <paramref name="name"/> is null.</exception>
                /// <exception cref="ArgumentException">
                /// Nothing in the module can be parametrized under this name, a number is out of its range, or <paramref name="dim"/> is no dimension of a
                /// layer's weight.
                /// </exception>
                /// <exception cref="InvalidOperationException">As for <see cref="weight_norm(Module{Tensor, Tensor}, string, long?)"/>.</exception>
                /// <exception cref="NotSupportedException">As for <see cref="swap_norms_"/>, of a model.</exception>
                /// <remarks>
                /// Miyato et al. 2018 (arXiv 1802.05957). Shapes: W (out, in), (out, in, …) or (in, out, …); the gradient sees u and v as constants. A weight
                /// of zeros stays zero, where PyTorch gives NaN. u and v change in each training call: under several forward passes a step they change as
                /// often.
                /// </remarks>
                public static Module<Tensor, Tensor> spectral_norm(Module<Tensor, Tensor> module, string name = "weight", long n_power_iterations = 1,
                    double eps = 1e-12, long? dim = null) =>
                    (Module<Tensor, Tensor>)ParametrizationSurgery.Register(module, name, ParametrizationRule.SpectralNorm(n_power_iterations, eps, dim));

                /// <inheritdoc cref="spectral_norm(Module{Tensor, Tensor}, string, long, double, long?)"/>
                public static Module spectral_norm(Module module, string name = "weight", long n_power_iterations = 1, double eps = 1e-12, long? dim = null) =>
                    ParametrizationSurgery.Register(module, name, ParametrizationRule.SpectralNorm(n_power_iterations, eps, dim));

                /// <inheritdoc cref="spectral_norm(Module{Tensor, Tensor}, string, long, double, long?)"/>
                /// <param name="module">A layer, a cell, or a model.</param>
                /// <param name="report">What was parametrized, and what could not be, with the line to change: those layers stay as they are.</param>
                /// <param name="name">The weight: default "weight"; of a cell "weight_ih" or "weight_hh".</param>
                /// <param name="n_power_iterations">Power iterations in each call in training mode, at least 1; default 1.</param>
                /// <param name="eps">The least length that a vector is divided by; default 1e-12.</param>
                /// <param name="dim">The dimension of the weight that becomes the matrix's rows; null (the default): 1 for transposed convolutions, 0 for
                /// others.</param>
                /// <param name="filter">Which parts of the model, by path as in <c>named_modules()</c>; null (the default): all.</param>
                public static Module spectral_norm(Module module, out SurgeryReport report, string name = "weight", long n_power_iterations = 1,
                    double eps = 1e-12, long? dim = null,
                    Func<string, bool>? filter = null) =>
                    ParametrizationSurgery.Register(module, name, ParametrizationRule.SpectralNorm(n_power_iterations, eps, dim), filter, out report);
            }

            /// <summary>Parametrizations of either kind, as <c>torch.nn.utils.parametrize</c>.</summary>
            public static class parametrize
            {
                /// <summary>
                /// Undoes <c>parametrizations.weight_norm</c> and <c>spectral_norm</c>: the weight is a parameter again, with the values that it has now:
                /// weight = w.
                /// </summary>
                /// <param name="module">What they returned, or a model with such layers inside, in which all with this name are put back in place.</param>
                /// <param name="name">The weight: default "weight"; of a cell "weight_ih" or "weight_hh".</param>
                /// <returns>The module to use from now on: the layer that was there before (the same object, with mode and hooks of now), or the cell or model
                /// itself.</returns>
                /// <exception cref="ArgumentNullException"><paramref name="module"/> or <paramref name="name"/> is null.</exception>
                /// <exception cref="ArgumentException">Nothing in the module is parametrized under this name.</exception>
                /// <exception cref="InvalidOperationException">A place of the model can't hold the layer, or as for <see cref="swap_norms_"/>; the model is
                /// unchanged.</exception>
                /// <exception cref="NotSupportedException">As for <see cref="swap_norms_"/>.</exception>
                public static Module remove_parametrizations(Module module, string name = "weight") => ParametrizationRemoval.Remove(module, name);

                /// <summary>
                /// A state dict with the keys of today: PyTorch's older <c>weight_norm</c> wrote <c>weight_g</c> and <c>weight_v</c>, its older
                /// <c>spectral_norm</c> <c>weight_orig</c>, <c>weight_u</c> and <c>weight_v</c>. The modules of this library take both by themselves; a model
                /// of torch.nn around them needs this: <c>model.load_state_dict(stab.nn.utils.parametrize.convert_state_dict(model, state_dict))</c>.
                /// </summary>
                /// <param name="module">The model that the state dict is for, with its parametrizations.</param>
                /// <param name="state_dict">Tensors by key.</param>
                /// <returns>The same tensors in a new dictionary; what is no older key of one of the model's parametrizations keeps its own.</returns>
                /// <exception cref="ArgumentNullException">An argument is null.</exception>
                public static Dictionary<string, Tensor> convert_state_dict(Module module, Dictionary<string, Tensor> state_dict) =>
                    OlderKeys.Renamed(module, state_dict);
            }
        }
    }
}
