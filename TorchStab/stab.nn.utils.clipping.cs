using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Clipping of gradients, as in <c>torch.nn.utils</c>, and changes of existing models (exchanging, freezing and folding norms).</summary>
        public static partial class utils
        {
            /// <summary>
            /// Clips all gradients by their common norm: g ← g · min(1, max_norm / (‖g‖ₚ + 1e-6)), in place. As <c>torch.nn.utils.clip_grad_norm_</c> of
            /// PyTorch.
            /// </summary>
            /// <param name="parameters">
            /// Of any floating dtypes, which may differ; those without a gradient are skipped. Norms of half types accumulate in float32.
            /// </param>
            /// <param name="max_norm">The largest norm, at least 0.</param>
            /// <param name="norm_type">p: any number or infinity; default 2.</param>
            /// <param name="error_if_nonfinite">
            /// Whether a norm that is NaN or infinite is an error, raised before anything is written; default false: the gradients become NaN or 0.
            /// </param>
            /// <returns>The norm before clipping; 0 if no parameter has a gradient.</returns>
            /// <exception cref="ArgumentException">A negative or NaN <paramref name="max_norm"/>, a NaN <paramref name="norm_type"/>.</exception>
            /// <exception cref="InvalidOperationException">
            /// The norm is not finite and <paramref name="error_if_nonfinite"/>; a gradient is sparse, complex, not of its parameter's shape or device, or
            /// cannot be written in place. No gradient is changed then.
            /// </exception>
            public static double clip_grad_norm_(IEnumerable<Parameter> parameters, double max_norm, double norm_type = 2.0, bool error_if_nonfinite = false) =>
                GradientClipping.ClipNorm(parameters, max_norm, norm_type, error_if_nonfinite);

            /// <summary>
            /// Clamps every element of every gradient: g ← min(max(g, −clip_value), clip_value), in place. As PyTorch's <c>clip_grad_value_</c>.
            /// </summary>
            /// <param name="parameters">The parameters; those without a gradient are skipped.</param>
            /// <param name="clip_value">The largest magnitude, at least 0.</param>
            /// <exception cref="ArgumentException">A negative or NaN <paramref name="clip_value"/>.</exception>
            /// <exception cref="InvalidOperationException">
            /// A gradient is sparse, complex, not of its parameter's shape or device, or cannot be written in place. No gradient is changed then.
            /// </exception>
            public static void clip_grad_value_(IEnumerable<Parameter> parameters, double clip_value) => GradientClipping.ClipValue(parameters, clip_value);

            /// <summary>
            /// The norm of all elements of all tensors: ‖x‖ₚ = (Σ |x|ᵖ)^(1/p). As PyTorch's. Huge finite elements do not overflow.
            /// </summary>
            /// <param name="tensors">
            /// Of any shapes and floating dtypes, which may differ. A tensor that is listed twice (the gradient of a tied weight) counts once.
            /// </param>
            /// <param name="norm_type">p: any number or infinity; default 2.</param>
            /// <param name="error_if_nonfinite">Whether a norm that is NaN or infinite is an error; default false.</param>
            /// <returns>The norm; 0 without any tensor.</returns>
            /// <exception cref="ArgumentException">A NaN <paramref name="norm_type"/>.</exception>
            /// <exception cref="InvalidOperationException">The norm is not finite and <paramref name="error_if_nonfinite"/>; a tensor is sparse.</exception>
            public static double get_total_norm(IEnumerable<Tensor> tensors, double norm_type = 2.0, bool error_if_nonfinite = false) =>
                GradientClipping.TotalNorm(tensors, norm_type, error_if_nonfinite);

            /// <summary>
            /// The second half of <see cref="clip_grad_norm_"/>: g ← g · min(1, max_norm / (total_norm + 1e-6)), in place. As PyTorch's.
            /// </summary>
            /// <param name="parameters">The parameters; those without a gradient are skipped.</param>
            /// <param name="max_norm">The largest norm, at least 0.</param>
            /// <param name="total_norm">The norm of all gradients, from <see cref="get_total_norm"/>.</param>
            /// <exception cref="ArgumentException">A negative or NaN <paramref name="max_norm"/>.</exception>
            /// <exception cref="InvalidOperationException">
            /// A gradient is sparse, complex, not of its parameter's shape or device, or cannot be written in place. No gradient is changed then.
            /// </exception>
            public static void clip_grads_with_norm_(IEnumerable<Parameter> parameters, double max_norm, double total_norm) =>
                GradientClipping.ClipWithNorm(parameters, max_norm, total_norm);

            /// <summary>Clips the gradient of each parameter by its own norm: g ← g · c / max(‖g‖₂, c), in place. Keras's <c>clipnorm</c>.</summary>
            /// <param name="parameters">The parameters; those without a gradient are skipped.</param>
            /// <param name="clipnorm">c, the largest norm of one gradient, at least 0.</param>
            /// <returns>The norm over all gradients before clipping.</returns>
            /// <exception cref="ArgumentException">A negative or NaN <paramref name="clipnorm"/>.</exception>
            /// <exception cref="InvalidOperationException">
            /// A gradient is sparse, complex, not of its parameter's shape or device, or cannot be written in place. No gradient is changed then.
            /// </exception>
            public static double clip_grad_norm_per_parameter_(IEnumerable<Parameter> parameters, double clipnorm) =>
                new ParameterNormClip(Numbers.Threshold(clipnorm, nameof(clipnorm))).Apply(parameters).GradNorm;

            /// <summary>
            /// Adaptive gradient clipping (Brock et al. 2021) in place, for each unit (see <see cref="GradientClip.Adaptive"/>): with bound = clip_factor
            /// · max(‖wᵢ‖, eps), gᵢ ← gᵢ · bound / max(‖gᵢ‖, 1e-6) where ‖gᵢ‖ ≥ bound. Like the authors, do not pass the last layer's parameters.
            /// </summary>
            /// <param name="parameters">The parameters; those without a gradient are skipped.</param>
            /// <param name="clip_factor">The largest ratio of a unit's gradient norm to its weight norm, at least 0; default 0.01.</param>
            /// <param name="eps">The least weight norm that bounds are computed with, at least 0; default 1e-3.</param>
            /// <returns>The norm over all gradients before clipping.</returns>
            /// <exception cref="ArgumentException">A negative or NaN value.</exception>
            /// <exception cref="InvalidOperationException">
            /// A gradient is sparse, complex, not of its parameter's shape or device, or cannot be written in place. No gradient is changed then.
            /// </exception>
            public static double adaptive_clip_grad_(IEnumerable<Parameter> parameters, double clip_factor = 0.01, double eps = 1e-3) =>
                new AdaptiveClip(Numbers.Threshold(clip_factor, nameof(clip_factor)), Numbers.Finite(eps, nameof(eps)), null).Apply(parameters).GradNorm;
        }
    }
}
