using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>TorchStab's counterpart of <c>torch</c>: a function of <c>torch.nn</c> has the same name in <c>stab.nn</c>.</summary>
public static partial class stab
{
    /// <summary>Modules with the names and defaults of <c>torch.nn</c>.</summary>
    public static partial class nn
    {
        /// <summary>Batch normalization of (N, C) or (N, C, L). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <param name="num_features">C, the number of channels.</param>
        /// <param name="eps">Added to the variance; default 1e-5.</param>
        /// <param name="momentum">The weight of a new batch in the running statistics; default 0.1. null weights all batches equally.</param>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0), of shape (C); default true.</param>
        /// <param name="track_running_stats">
        /// Whether to keep running statistics; without them, the batch's statistics normalize in eval mode too. Default true.
        /// </param>
        /// <param name="device">The device of parameters and buffers; null (the default): the default device.</param>
        /// <param name="dtype">The floating-point dtype of parameters and buffers; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode.</returns>
        /// <exception cref="ArgumentException">num_features is negative, or dtype is not floating-point.</exception>
        /// <remarks>As <c>torch.nn.BatchNorm1d</c>, 2d, 3d. <inheritdoc cref="BatchNorm" path="/remarks/node()"/></remarks>
        public static BatchNorm1d BatchNorm1d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch normalization of (N, C, H, W). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNorm2d BatchNorm2d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch normalization of (N, C, D, H, W). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNorm3d BatchNorm3d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch normalization and ReLU of (N, C) or (N, C, L). <inheritdoc cref="BatchNormReLU" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNormReLU1d BatchNormReLU1d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch normalization and ReLU of (N, C, H, W). <inheritdoc cref="BatchNormReLU" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNormReLU2d BatchNormReLU2d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch normalization and ReLU of (N, C, D, H, W). <inheritdoc cref="BatchNormReLU" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNormReLU3d BatchNormReLU3d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Batch renormalization of (N, C) or (N, C, L). <inheritdoc cref="BatchRenorm" path="/summary/node()"/></summary>
        /// <param name="num_features">C, the number of channels.</param>
        /// <param name="eps">Added to the variance; default 1e-5.</param>
        /// <param name="momentum">The weight of a new batch in the running statistics; default 0.1. null weights all batches equally.</param>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0), of shape (C); default true.</param>
        /// <param name="track_running_stats">Whether to keep running statistics; without them, it is batch normalization. Default true.</param>
        /// <param name="device">The device of parameters and buffers; null (the default): the default device.</param>
        /// <param name="dtype">The floating-point dtype of parameters and buffers; null (the default): the default dtype.</param>
        /// <param name="rmax">The bound of r, at least 1; default 3.</param>
        /// <param name="dmax">The bound of |d|, at least 0; default 5.</param>
        /// <returns>The module, in training mode.</returns>
        /// <exception cref="ArgumentException">num_features is negative, dtype is not floating-point, rmax is below 1, or dmax is below 0.</exception>
        /// <remarks><inheritdoc cref="BatchRenorm" path="/remarks/node()"/> <inheritdoc cref="BatchNorm" path="/remarks/node()"/></remarks>
        public static BatchRenorm1d BatchRenorm1d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null, double rmax = 3, double dmax = 5) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype), rmax, dmax);

        /// <summary>Batch renormalization of (N, C, H, W). <inheritdoc cref="BatchRenorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchRenorm1d(long, double, double?, bool, bool, Device?, ScalarType?, double, double)"/>
        public static BatchRenorm2d BatchRenorm2d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null, double rmax = 3, double dmax = 5) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype), rmax, dmax);

        /// <summary>Batch renormalization of (N, C, D, H, W). <inheritdoc cref="BatchRenorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchRenorm1d(long, double, double?, bool, bool, Device?, ScalarType?, double, double)"/>
        public static BatchRenorm3d BatchRenorm3d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true, Device? device = null, ScalarType? dtype = null, double rmax = 3, double dmax = 5) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype), rmax, dmax);

        /// <summary>Instance normalization of (N, C, L) or (C, L). <inheritdoc cref="InstanceNorm" path="/summary/node()"/></summary>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0), of shape (C); default false.</param>
        /// <param name="track_running_stats">Whether to keep running statistics, which normalize in eval mode; default false.</param>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        /// <remarks>As <c>torch.nn.InstanceNorm1d</c>, 2d, 3d. <inheritdoc cref="InstanceNorm" path="/remarks/node()"/></remarks>
        public static InstanceNorm1d InstanceNorm1d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = false,
            bool track_running_stats = false, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Instance normalization of (N, C, H, W) or (C, H, W). <inheritdoc cref="InstanceNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="InstanceNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static InstanceNorm2d InstanceNorm2d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = false,
            bool track_running_stats = false, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));

        /// <summary>Instance normalization of (N, C, D, H, W) or (C, D, H, W). <inheritdoc cref="InstanceNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="InstanceNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static InstanceNorm3d InstanceNorm3d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = false,
            bool track_running_stats = false, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype));
    }
}
