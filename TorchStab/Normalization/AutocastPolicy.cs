using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The effect of an autocast region on operations that do not go through libtorch's casting.</summary>
internal static class AutocastPolicy
{
    /// <summary>Whether an operation may mix two dtypes: inside a region libtorch casts both, except float64.</summary>
    public static bool Reconciles(Tensor input, ScalarType other) =>
        input.dtype != ScalarType.Float64 && other != ScalarType.Float64 && AutocastLibrary.IsOn(input.device_type);

    /// <summary>Whether layer and group normalization of this input run in float32 and return float32, as libtorch's do on these devices.</summary>
    public static bool RunsInFloat32(Tensor input) =>
        input.dtype is ScalarType.Float16 or ScalarType.BFloat16 && IsWidened(input.device_type) && AutocastLibrary.IsOn(input.device_type);

    /// <summary>Whether libtorch runs layer and group normalization in float32 on this device. It does not on the CPU.</summary>
    public static bool IsWidened(DeviceType device) => device is DeviceType.CUDA or DeviceType.MPS;
}
