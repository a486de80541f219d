using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>What an autocast region changes for modules that do not call an operation which libtorch casts.</summary>
internal static class AutocastPolicy
{
    /// <summary>Whether two dtypes may meet: inside a region libtorch casts both, except float64.</summary>
    public static bool Reconciles(Tensor input, ScalarType other) =>
        input.dtype != ScalarType.Float64 && other != ScalarType.Float64 && AutocastLibrary.IsOn(input.device_type);

    /// <summary>Whether layer and group normalization of this input run in float32 and return it, as libtorch's do on these devices.</summary>
    public static bool RunsInFloat32(Tensor input) => input.dtype is ScalarType.Float16 or ScalarType.BFloat16 && IsWidened(input.device_type) && AutocastLibrary.IsOn(input.device_type);

    /// <summary>The devices whose list of operations in float32 has layer and group normalization. The CPU's has not.</summary>
    public static bool IsWidened(DeviceType device) => device is DeviceType.CUDA or DeviceType.MPS;
}
