using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>What an autocast region changes for modules whose arithmetic does not go through an operation that libtorch casts.</summary>
internal static class AutocastPolicy
{
    /// <summary>Whether two dtypes may meet: inside a region libtorch casts both, except float64.</summary>
    public static bool Reconciles(Tensor input, ScalarType other) =>
        input.dtype != ScalarType.Float64 && other != ScalarType.Float64 && AutocastLibrary.IsOn(input.device_type);
}
