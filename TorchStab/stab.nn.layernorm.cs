using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <inheritdoc cref="Modules.LayerNorm"/>
        /// <param name="normalized_shape">Sizes of the trailing dimensions to normalize over.</param>
        /// <param name="eps">Added to the variance; default 1e-5.</param>
        /// <param name="elementwise_affine">Whether to learn a weight (at first 1) of the normalized shape; default true.</param>
        /// <param name="bias">Whether to learn a bias (at first 0); ignored without <paramref name="elementwise_affine"/>. Default true.</param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode; it takes (*, normalized_shape).</returns>
        /// <exception cref="ArgumentException"><paramref name="normalized_shape"/> is empty or negative, or the dtype is not floating-point.</exception>
        public static LayerNorm LayerNorm(long[] normalized_shape, double eps = 1e-5, bool elementwise_affine = true, bool bias = true,
            Device? device = null, ScalarType? dtype = null) => new(normalized_shape, eps, elementwise_affine, bias, device, dtype);

        /// <inheritdoc cref="LayerNorm(long[], double, bool, bool, Device?, ScalarType?)"/>
        public static LayerNorm LayerNorm(long normalized_shape, double eps = 1e-5, bool elementwise_affine = true, bool bias = true,
            Device? device = null, ScalarType? dtype = null) => new([normalized_shape], eps, elementwise_affine, bias, device, dtype);

        /// <inheritdoc cref="Modules.LayerNorm2d"/>
        /// <param name="num_channels">C, the number of channels.</param>
        /// <param name="eps">Added to the variance; default 1e-6.</param>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0) per channel; default true.</param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode; it takes (N, C, H, W).</returns>
        /// <exception cref="ArgumentException"><paramref name="num_channels"/> is not positive, or the dtype is not floating-point.</exception>
        public static LayerNorm2d LayerNorm2d(long num_channels, double eps = 1e-6, bool affine = true, Device? device = null, ScalarType? dtype = null) =>
            new(num_channels, eps, affine, device, dtype);

        /// <inheritdoc cref="Modules.RMSNorm"/>
        /// <param name="normalized_shape">Sizes of the trailing dimensions to normalize over.</param>
        /// <param name="eps">Added to the mean square; null (the default) is the machine epsilon of the input's dtype.</param>
        /// <param name="elementwise_affine">Whether to learn a weight (at first 1) of the normalized shape; default true.</param>
        /// <param name="device">The device of the weight; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the weight; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode; it takes (*, normalized_shape).</returns>
        /// <exception cref="ArgumentException"><paramref name="normalized_shape"/> is empty or negative, or the dtype is not floating-point.</exception>
        public static RMSNorm RMSNorm(long[] normalized_shape, double? eps = null, bool elementwise_affine = true, Device? device = null,
            ScalarType? dtype = null) => new(normalized_shape, eps, elementwise_affine, device, dtype);

        /// <inheritdoc cref="RMSNorm(long[], double?, bool, Device?, ScalarType?)"/>
        public static RMSNorm RMSNorm(long normalized_shape, double? eps = null, bool elementwise_affine = true, Device? device = null,
            ScalarType? dtype = null) => new([normalized_shape], eps, elementwise_affine, device, dtype);

        /// <inheritdoc cref="Modules.GroupNorm"/>
        /// <param name="num_groups">The number of groups that the channels are split into.</param>
        /// <param name="num_channels">The number of channels; divisible by <paramref name="num_groups"/>.</param>
        /// <param name="eps">Added to the variance; default 1e-5.</param>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0) per channel; default true.</param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode; it takes (N, C, *).</returns>
        /// <exception cref="ArgumentException">num_groups does not divide num_channels, or one of them is not positive.</exception>
        public static GroupNorm GroupNorm(long num_groups, long num_channels, double eps = 1e-5, bool affine = true, Device? device = null,
            ScalarType? dtype = null) => new(num_groups, num_channels, eps, affine, device, dtype);
    }
}
