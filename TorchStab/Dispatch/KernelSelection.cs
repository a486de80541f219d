using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>What computes an op, where there is a choice.</summary>
internal enum KernelMode
{
    /// <summary>Kernels for every call that they support, on the CPU; on other devices libtorch's fused operations.</summary>
    Auto,

    /// <summary>libtorch's fused operations on the CPU too, and no kernels: what other devices do, in a form that a machine without them can test.</summary>
    Native,

    /// <summary>Tensor operations only.</summary>
    Off,
}

/// <summary>The vector width that kernels are instantiated for.</summary>
internal enum VectorWidth
{
    Scalar = 0,
    V128 = 128,
    V256 = 256,
    V512 = 512,
}

/// <summary>
/// Decides between the kernel form and the tensor-op form of an op: with <see cref="NormSelection"/> the only code that checks device, dtype, layout or size.
/// Settings (see <see cref="Setting"/>): <c>TorchStab.Kernels</c> = auto | native | off, <c>TorchStab.Vectors</c> = scalar | v128 | v256 | v512.
/// </summary>
/// <remarks>
/// A kernel is generic in its vector type; <see cref="Kernels.Instances{F}"/> creates its instances. Get the instance at every call, by <see cref="Width"/>.
/// </remarks>
internal static class KernelSelection
{
    /// <summary>
    /// Norms use several threads from this many elements on. They run between libtorch's operations, while its worker threads are still awake.
    /// </summary>
    public const long ParallelNorm = 16 * 1024;

    /// <summary>Optimizers use several threads from this many elements on: after the backward pass the worker threads may be asleep.</summary>
    public const long ParallelStep = 128 * 1024;

    /// <summary>Below this many elements one thread writes zeros. From there on libtorch's fill uses several threads.</summary>
    private const long MostCleared = 32 * 1024;

    /// <summary>Settable so that tests run every form in one process.</summary>
    public static KernelMode Mode { get; set; } = Setting.Fault is null ? Setting.Read("Kernels", KernelMode.Auto) : KernelMode.Off;

    /// <summary>Settable for tests; otherwise chosen once. Without AVX-512 a 512-bit instance is a third slower than a 256-bit one.</summary>
    public static VectorWidth Width { get; set; } = Setting.Read("Vectors", Widest());

    /// <summary>Whether kernels are switched on and can run. Every op reads it, so an invalid setting is reported here.</summary>
    /// <exception cref="InvalidOperationException">A setting has an invalid value.</exception>
    public static bool Enabled => Mode == KernelMode.Auto ? LibTorch.IsAvailable : Setting.Refuse();

    /// <summary>Whether ops of tensors on this kind of device run in libtorch's fused operations, where these take them.</summary>
    public static bool WantsNative(DeviceType kind) => StableLibrary.IsAvailable && Mode switch
    {
        KernelMode.Native => kind != DeviceType.META,
        KernelMode.Auto => kind is not (DeviceType.CPU or DeviceType.META),
        _ => false,
    };

    /// <summary>Whether the kernels of optimizers and of reductions support the dtype.</summary>
    public static bool HasElement(ScalarType dtype) => Has(dtype) || dtype == ScalarType.Float16;

    /// <summary>Whether all kernels support the dtype.</summary>
    public static bool Has(ScalarType dtype) => dtype is ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;

    /// <summary>Whether a kernel can read the tensor: on the CPU, in plain memory, contiguous, float32, float64 or bfloat16, while kernels are on.</summary>
    public static bool Takes(Tensor tensor) => Enabled && IsReadable(tensor.Handle, out var dtype) && Has(dtype);

    /// <summary>As <see cref="Takes(Tensor)"/>, by handle, also while kernels are switched off, and also for float16.</summary>
    public static unsafe bool IsReadable(nint tensor, out ScalarType dtype)
    {
        bool isCommon = TensorFields.TryView(tensor, out var view);
        dtype = view.Dtype;
        return isCommon || IsReadableByExports(tensor, out dtype);
    }

    /// <summary>As <see cref="IsReadable"/>, for a tensor that <see cref="TensorFields"/> does not know.</summary>
    public static unsafe bool IsReadableByExports(nint tensor, out ScalarType dtype)
    {
        dtype = default;
        return LibTorch.IsAvailable && OnCpu(tensor, out dtype) && LibTorch.IsContiguous(tensor) != 0;
    }

    /// <summary>
    /// Whether the tensor's memory contains its values. False for a negative view (<c>z.conj().imag</c>), whose sign is a flag, for a tensor of zeros that
    /// autograd made without memory, and for sparse and opaque (mkldnn) layouts. All of these pass checks of device and dtype.
    /// </summary>
    public static unsafe bool IsPlain(nint tensor) => LibTorch.IsNegative(tensor) == 0 && (TensorMemory.At(tensor) != null || IsEmpty(tensor));

    /// <summary>Whether kernels can read the statistics of channels; true for null.</summary>
    public static unsafe bool TakesStatistics(Tensor? statistics) => statistics is null || (Takes(statistics)
        && (ScalarType)LibTorch.Dtype(statistics.Handle) != ScalarType.BFloat16);

    /// <summary>The bytes to clear in order to zero a tensor that requires no gradient and is small enough for one thread; -1 for any other tensor.</summary>
    public static unsafe long BytesToClear(Tensor tensor)
    {
        nint handle = tensor.Handle;
        if (!Enabled || LibTorch.RequiresGrad(handle) != 0 || !OnCpu(handle, out _) || LibTorch.IsContiguous(handle) == 0) return -1;
        long elements = LibTorch.Numel(handle);
        return elements >= MostCleared ? -1 : elements * TensorMemory.SizeOf(TensorMemory.ElementOf(handle));
    }

    /// <summary>Whether a counter can be incremented in place.</summary>
    public static unsafe bool TakesCounter(Tensor counter) => Enabled && LibTorch.DeviceKind(counter.Handle) == (int)DeviceType.CPU
        && (ScalarType)LibTorch.Dtype(counter.Handle) == ScalarType.Int64 && LibTorch.Numel(counter.Handle) == 1 && IsPlain(counter.Handle);

    /// <summary>float64, or float32 where the tensor's device has no float64 (Apple's MPS).</summary>
    public static ScalarType WideDtype(Tensor tensor) => tensor.device_type == DeviceType.MPS ? ScalarType.Float32 : ScalarType.Float64;

    /// <summary>Whether the tensor is on the CPU, for code that supports only CPU memory, such as MPI.</summary>
    public static bool IsOnCpu(Tensor tensor) => tensor.device_type == DeviceType.CPU;

    /// <summary>Whether the tensor has elements: a tensor on the meta device has only a shape.</summary>
    public static bool HasMemory(Tensor tensor) => tensor.device_type != DeviceType.META;

    /// <summary>Whether kernels are on and those of norms can read the tensor: on the CPU, in plain memory, of any strides, float16 too.</summary>
    public static bool TakesNorm(Tensor tensor) => Enabled && OnCpu(tensor.Handle, out _);

    /// <summary>
    /// Whether an optimizer's kernel can update the parameter: all tensors contiguous and of one size, the gradient of the parameter's dtype, and the state
    /// of that dtype, or float32 for bfloat16 and float16, as the master copy.
    /// </summary>
    public static bool TakesStep(in StepMemory m) => Enabled && m.Parameter.Dense && m.Gradient.Dense && m.Gradient.Dtype == m.Parameter.Dtype
        && m.Gradient.Count == m.Parameter.Count && TakesState(m.State0, m) && TakesState(m.State1, m) && TakesState(m.State2, m) && TakesState(m.Master, m);

    /// <summary>
    /// Whether libtorch's operations on lists can update the parameter: all tensors contiguous and of one device and size, because these operations read all
    /// of them with the same index; the gradient of the parameter's dtype, and the state of the arithmetic's.
    /// </summary>
    /// <param name="m">The tensors.</param>
    /// <param name="unitScale">The factors of the gradient's units, in the dtype of the arithmetic; 0 if there are none.</param>
    public static unsafe bool TakesFused(in StepMemory m, nint unitScale)
    {
        if (!LibTorch.IsAvailable || !WantsNative((DeviceType)LibTorch.DeviceKind(m.Parameter.Handle))) return false;
        var dtype = (ScalarType)LibTorch.Dtype(m.Parameter.Handle);
        var state = FusedDtype(dtype);
        if (unitScale != 0 && (ScalarType)LibTorch.Dtype(unitScale) != state) return false;
        return HasElement(dtype) && LibTorch.Numel(m.Parameter.Handle) > 0 && IsLike(m.Parameter, m, dtype) && IsLike(m.Gradient, m, dtype)
            && (m.State0.IsMissing || IsLike(m.State0, m, state)) && (m.State1.IsMissing || IsLike(m.State1, m, state))
            && (m.State2.IsMissing || IsLike(m.State2, m, state)) && (m.Master.IsMissing || (state != dtype && IsLike(m.Master, m, state)));
    }

    /// <summary>The dtype in which libtorch's operations on lists update a parameter: float32 for one in half precision.</summary>
    public static ScalarType FusedDtype(ScalarType parameter) => parameter == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    /// <summary>The largest number of the dtype of an update.</summary>
    public static double Largest(ScalarType dtype) => dtype == ScalarType.Float64 ? double.MaxValue : float.MaxValue;

    /// <summary>Whether a kernel can copy a gradient of <paramref name="count"/> elements to a bucket and back; half precision uses a float32 bucket.</summary>
    public static bool TakesBucket(in TensorView gradient, in TensorView bucket, long count) => Enabled && gradient.Dense && bucket.Dense
        && gradient.Count == count && bucket.Dtype == (gradient.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);

    /// <summary>Whether a kernel can move the average towards the value: a float64 average for float64, a float32 one for all others.</summary>
    public static bool TakesAverage(in TensorView average, in TensorView value) => Enabled && average.Dense && value.Dense && average.Count == value.Count
        && average.Dtype == (value.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);

    private static bool TakesState(in TensorView state, in StepMemory m) => state.IsMissing || (state.Dense && state.Count == m.Parameter.Count
        && state.Dtype == (m.Parameter.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32));

    private static unsafe bool IsLike(in TensorView tensor, in StepMemory m, ScalarType dtype) => LibTorch.IsContiguous(tensor.Handle) != 0
        && IsPlain(tensor.Handle) && (ScalarType)LibTorch.Dtype(tensor.Handle) == dtype
        && LibTorch.DeviceKind(tensor.Handle) == LibTorch.DeviceKind(m.Parameter.Handle) && LibTorch.Numel(tensor.Handle) == LibTorch.Numel(m.Parameter.Handle);

    private static unsafe bool OnCpu(nint tensor, out ScalarType dtype)
    {
        dtype = (ScalarType)LibTorch.Dtype(tensor);
        return LibTorch.DeviceKind(tensor) == (int)DeviceType.CPU && HasElement(dtype) && IsPlain(tensor);
    }

    private static unsafe bool IsEmpty(nint tensor)
    {
        LibTorch.ForgetError();
        return LibTorch.Numel(tensor) == 0;
    }

    private static VectorWidth Widest() =>
        Vector512.IsHardwareAccelerated ? VectorWidth.V512
        : Vector256.IsHardwareAccelerated ? VectorWidth.V256
        : Vector128.IsHardwareAccelerated ? VectorWidth.V128
        : VectorWidth.Scalar;
}
