using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    /// <summary>Automatic mixed precision, by the words of <c>torch.amp</c>.</summary>
    public static class amp
    {
        /// <summary>
        /// Opens a region in which libtorch runs each operation in the dtype that suits it: y = op(cast(x), cast(w)). Products and convolutions take
        /// and give <paramref name="dtype"/>, operations that need range or precision run in float32, the rest in the dtype of its inputs. Weights stay
        /// float32 and so do their gradients. Dispose the result to end the region.
        /// </summary>
        /// <remarks>
        /// <para>Only the forward pass and the loss belong inside; call <c>backward()</c> and the optimizer outside. Inputs of any shape and floating
        /// dtype; float64 is never cast.</para>
        /// <para>Norms of this library behave as PyTorch's. On CUDA, LayerNorm and GroupNorm run in float32 and return it. Everywhere else norms return
        /// the dtype of their input, with statistics in float32, and take float32 weights beside a half-precision input.</para>
        /// <para>The state is the thread's: no <c>await</c> inside, and other threads are not changed. Regions nest; each restores what was before it.</para>
        /// <para>Source: <c>torch.autocast</c>, whose lists of operations apply, because it is the same code that runs.</para>
        /// </remarks>
        /// <param name="device_type">The device whose operations are cast; default CPU. CUDA that is not available is left alone, as in PyTorch.</param>
        /// <param name="dtype">bfloat16 or float16; null (the default): that of a region around, at first bfloat16 on the CPU and float16 on CUDA and MPS.</param>
        /// <param name="enabled">Whether to cast; default true. False switches autocast off inside a region.</param>
        /// <param name="cache_enabled">Whether a weight that is used several times is cast once; default true. The copies live as long as the outermost region.</param>
        /// <returns>The region.</returns>
        /// <exception cref="ArgumentException">The device has no autocast, or <paramref name="dtype"/> is not a half-precision one.</exception>
        /// <exception cref="PlatformNotSupportedException">See <see cref="is_autocast_available"/>.</exception>
        public static AutocastRegion autocast(DeviceType device_type = DeviceType.CPU, ScalarType? dtype = null, bool enabled = true, bool cache_enabled = true) =>
            new(device_type, dtype, enabled, cache_enabled);

        /// <summary>Whether <see cref="autocast"/> can be switched for a device: libtorch exports the functions, and a product was seen to follow them.</summary>
        /// <remarks>Source: <c>torch.amp.is_autocast_available</c>.</remarks>
        /// <param name="device_type">The device.</param>
        /// <returns>False for a device without autocast. True for CUDA where there is none, as in PyTorch.</returns>
        /// <exception cref="InvalidOperationException">Never.</exception>
        public static bool is_autocast_available(DeviceType device_type) => AutocastLibrary.Takes(device_type) && AutocastLibrary.IsAvailable;
    }
}
