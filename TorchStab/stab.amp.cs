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
        /// <para>Norms of this library behave as PyTorch's. On CUDA and MPS, LayerNorm and GroupNorm run in float32 and return it. Everywhere else norms return
        /// the dtype of their input, with statistics in float32, and take float32 weights beside a half-precision input.</para>
        /// <para>The state is the thread's: no <c>await</c> inside, and other threads are not changed. Regions nest; each restores what was before it.</para>
        /// <para>Source: <c>torch.autocast</c>, whose lists of operations apply, because it is the same code that runs.</para>
        /// </remarks>
        /// <param name="device_type">The device whose operations are cast; default CPU. CUDA that is not available is left alone, as in PyTorch.</param>
        /// <param name="dtype">bfloat16 or float16; null (the default): that of a region around, at first bfloat16 on the CPU and float16 on CUDA and
        /// MPS.</param>
        /// <param name="enabled">Whether to cast; default true. False switches autocast off inside a region.</param>
        /// <param name="cache_enabled">Whether a weight that is used several times is cast once; default true. The copies live as long as the outermost
        /// region.</param>
        /// <returns>The region.</returns>
        /// <exception cref="ArgumentException">The device has no autocast, or <paramref name="dtype"/> is not a half-precision one.</exception>
        /// <exception cref="PlatformNotSupportedException">See <see cref="is_autocast_available"/>.</exception>
        public static AutocastRegion autocast(DeviceType device_type = DeviceType.CPU, ScalarType? dtype = null, bool enabled = true,
            bool cache_enabled = true) =>
            new(device_type, dtype, enabled, cache_enabled);

        /// <summary>
        /// Whether <see cref="autocast"/> can be switched for a device: libtorch exports the functions, and a product was seen to follow them.
        /// </summary>
        /// <remarks>Source: <c>torch.amp.is_autocast_available</c>.</remarks>
        /// <param name="device_type">The device.</param>
        /// <returns>False for a device without autocast. True for CUDA where there is none, as in PyTorch.</returns>
        /// <exception cref="InvalidOperationException">Never.</exception>
        public static bool is_autocast_available(DeviceType device_type) => AutocastLibrary.Takes(device_type) && AutocastLibrary.IsAvailable;

        /// <summary>
        /// Scales the loss so that small float16 gradients do not become zero, and adjusts the scale s: s ← s·backoff_factor when a gradient overflows, and
        /// s ← s·growth_factor after growth_interval steps without one.
        /// </summary>
        /// <remarks>
        /// <code>scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update();</code>
        /// For any shape, device and floating dtype. bfloat16 has float32's range and needs no scaler. Source: <c>torch.amp.GradScaler</c>; float16
        /// gradients, which PyTorch refuses to unscale, are taken.
        /// </remarks>
        /// <param name="init_scale">The first scale; default 65536.</param>
        /// <param name="growth_factor">Above 1; default 2.</param>
        /// <param name="backoff_factor">Between 0 and 1; default 0.5.</param>
        /// <param name="growth_interval">Steps without an overflow until the scale grows, at least 1; default 2000.</param>
        /// <param name="enabled">Default true. A scaler that is not enabled leaves the loss alone and steps as <c>optimizer.step()</c> does.</param>
        /// <returns>The scaler. It holds no tensor.</returns>
        /// <exception cref="ArgumentException">A value outside its range.</exception>
        public static GradScaler GradScaler(
            double init_scale = 65536, double growth_factor = 2, double backoff_factor = 0.5, long growth_interval = 2000, bool enabled = true) =>
            new(init_scale, growth_factor, backoff_factor, growth_interval, enabled);
    }
}
