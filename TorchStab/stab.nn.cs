using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>TorchStab's counterpart of <c>torch</c>: what stands in <c>torch.nn</c> stands in <c>stab.nn</c>, under the same names.</summary>
public static partial class stab
{
    /// <summary>Modules, by the names and defaults of <c>torch.nn</c>.</summary>
    public static partial class nn
    {
        /// <summary>Batch normalization of (N, C) or (N, C, L). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <param name="num_features">C.</param>
        /// <param name="eps">Added to the variance.</param>
        /// <param name="momentum">The share of a new batch in the running statistics; null gives each batch the same share.</param>
        /// <param name="affine">Whether there are weight (ones) and bias (zeros).</param>
        /// <param name="track_running_stats">Whether there are running statistics; without, every mode uses the batch's.</param>
        /// <param name="device">Where parameters and buffers are made.</param>
        /// <param name="dtype">Their dtype; null is the default dtype.</param>
        /// <exception cref="ArgumentException">num_features is negative, or dtype no floating-point one.</exception>
        public static BatchNorm1d BatchNorm1d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(num_features, eps, momentum, affine, track_running_stats, device, dtype);

        /// <summary>Batch normalization of (N, C, H, W). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNorm2d BatchNorm2d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(num_features, eps, momentum, affine, track_running_stats, device, dtype);

        /// <summary>Batch normalization of (N, C, D, H, W). <inheritdoc cref="BatchNorm" path="/summary/node()"/></summary>
        /// <inheritdoc cref="BatchNorm1d(long, double, double?, bool, bool, Device?, ScalarType?)"/>
        public static BatchNorm3d BatchNorm3d(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
            new(num_features, eps, momentum, affine, track_running_stats, device, dtype);
    }
}
