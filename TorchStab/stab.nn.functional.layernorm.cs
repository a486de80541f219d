using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Functions with the names and defaults of <c>torch.nn.functional</c>.</summary>
        public static partial class functional
        {
            /// <inheritdoc cref="Modules.LayerNorm"/>
            /// <param name="input">Shape (*, normalized_shape); float64, float32, float16 or bfloat16.</param>
            /// <param name="normalized_shape">Sizes of the trailing dimensions to normalize over.</param>
            /// <param name="weight">Scale of the normalized shape, or null (the default).</param>
            /// <param name="bias">Shift of the normalized shape, or null (the default).</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The input's shape and dtype, contiguous.</returns>
            /// <exception cref="ArgumentException">Shapes or dtypes do not match.</exception>
            public static Tensor layer_norm(Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5) =>
                LayerNormFunctional.Apply(input, normalized_shape, weight, bias, eps);

            /// <inheritdoc cref="Modules.RMSNorm"/>
            /// <param name="input">Shape (*, normalized_shape); float64, float32, float16 or bfloat16.</param>
            /// <param name="normalized_shape">Sizes of the trailing dimensions to normalize over.</param>
            /// <param name="weight">Scale of the normalized shape, or null (the default).</param>
            /// <param name="eps">Added to the mean square; null (the default) is the machine epsilon of the input's dtype.</param>
            /// <returns>The input's shape, dtype and layout.</returns>
            /// <exception cref="ArgumentException">Shapes do not match, or the input is not floating-point.</exception>
            public static Tensor rms_norm(Tensor input, long[] normalized_shape, Tensor? weight = null, double? eps = null) =>
                RMSNormFunctional.Apply(input, normalized_shape, weight, eps);

            /// <inheritdoc cref="Modules.GroupNorm"/>
            /// <param name="input">Shape (N, C, *); float64, float32, float16 or bfloat16.</param>
            /// <param name="num_groups">The number of groups that the C channels are split into.</param>
            /// <param name="weight">Scale of shape (C), or null (the default).</param>
            /// <param name="bias">Shift of shape (C), or null (the default).</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The input's shape and dtype; channels_last if the input is, else contiguous.</returns>
            /// <exception cref="ArgumentException">Shapes or dtypes do not match, or a group has one value.</exception>
            public static Tensor group_norm(Tensor input, long num_groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5) =>
                GroupNormFunctional.Apply(input, num_groups, weight, bias, eps);
        }
    }
}
