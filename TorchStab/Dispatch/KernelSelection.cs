using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Whether the kernels run: <c>Auto</c> wherever they can, <c>Off</c> leaves everything to tensor operations.</summary>
internal enum KernelMode
{
    Auto,
    Off,
}

/// <summary>The forms in which a norm's maths can run.</summary>
internal enum NormForm
{
    /// <summary>The equation in tensor operations: any device and dtype, masks, derivatives of any order.</summary>
    TensorOps,

    /// <summary>libtorch's own fused op, for devices without kernels of ours; chosen by no norm so far.</summary>
    Native,

    /// <summary>A kernel on the CPU.</summary>
    Kernel,
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
/// The one decision between the kernel form and the tensor-op form of an op: the only code that asks for device, dtype,
/// layout or size. Settings (see <see cref="Setting"/>): <c>TorchStab.Kernels</c> = auto | off, <c>TorchStab.Vectors</c> =
/// scalar | v128 | v256 | v512.
/// </summary>
/// <remarks>
/// A kernel is generic in its vector type; <see cref="Kernels.Instances{F}"/> has its instances. Ask for one at every call, by <see cref="Width"/>.
/// </remarks>
internal static class KernelSelection
{
    /// <summary>Norms go to the team from this many elements on: they run next to libtorch's own operations, with its workers awake.</summary>
    public const long ParallelNorm = 16 * 1024;

    /// <summary>Optimizers from this many: the backward pass before them may have let the workers sleep.</summary>
    public const long ParallelStep = 128 * 1024;

    /// <summary>Zeros are written in place by one thread below this many elements, where libtorch's own fill starts to share them out.</summary>
    private const long MostCleared = 32 * 1024;

    /// <summary>Kernels count columns and channels in an int, and bytes of two rows of them too.</summary>
    private const long MostColumns = int.MaxValue / 32;

    /// <summary>Kernels count rows in an int, and look a block of them ahead.</summary>
    private const long MostRows = int.MaxValue - MostColumns;

    /// <summary>Settable so that tests run both forms in one process.</summary>
    public static KernelMode Mode { get; set; } = Setting.Fault is null ? Setting.Read("Kernels", KernelMode.Auto) : KernelMode.Off;

    /// <summary>Settable for tests; otherwise chosen once: a 512-bit source on a machine without AVX-512 runs a third slower than a 256-bit one.</summary>
    public static VectorWidth Width { get; set; } = Setting.Read("Vectors", Widest());

    /// <summary>Whether kernels are switched on and can run. Every op asks: a setting that can't be honoured is refused here.</summary>
    /// <exception cref="InvalidOperationException">A setting holds what it does not know.</exception>
    public static bool Enabled => Mode == KernelMode.Auto ? LibTorch.IsAvailable : Setting.Refuse();

    /// <summary>Whether kernels are made for the dtype.</summary>
    public static bool Has(ScalarType dtype) => dtype is ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;

    /// <summary>Whether a kernel can read the tensor as it lies: on the CPU, in plain memory, contiguous, float32, float64 or bfloat16.</summary>
    public static bool Takes(Tensor tensor) => Enabled && LiesWell(tensor.Handle, out _);

    /// <summary>The same by handle, whether or not kernels are switched on.</summary>
    public static unsafe bool LiesWell(nint tensor, out ScalarType dtype)
    {
        dtype = default;
        return LibTorch.IsAvailable && OnCpu(tensor, out dtype) && LibTorch.IsContiguous(tensor) != 0;
    }

    /// <summary>
    /// Whether memory holds the values as they are. Not so for a negative view (<c>z.conj().imag</c>), whose sign is in a flag, nor for a tensor of
    /// zeros that autograd made without memory, nor for sparse and opaque (mkldnn) layouts. All of them pass checks of device and dtype.
    /// </summary>
    public static unsafe bool IsPlain(nint tensor) => LibTorch.IsNegative(tensor) == 0 && (TensorMemory.At(tensor) != null || IsEmpty(tensor));

    /// <summary>
    /// The form of a norm over rows. By kernel runs what is contiguous, of one dtype (mixed precision stays in tensor operations), without a bias that has no
    /// weight, not empty, and of sizes that an int counts.
    /// </summary>
    public static unsafe NormForm FormOfRows(Tensor input, Tensor? weight, Tensor? bias, long columns) =>
        Takes(input) && TakesAffine(weight, bias, input) && FitsRows(LibTorch.Numel(input.Handle), columns) ? NormForm.Kernel : NormForm.TensorOps;

    /// <summary>Whether no product or sum of the kernels' ints overflows.</summary>
    public static bool FitsRows(long elements, long columns) => elements > 0 && columns <= MostColumns && elements / columns <= MostRows;

    /// <summary>
    /// The form of a norm over channels. By kernel runs an input (N, C, …) that is contiguous or channels_last, everything of one dtype, without a bias that
    /// has no weight, not empty, and of sizes that an int counts.
    /// </summary>
    public static unsafe NormForm FormOfChannels(Tensor input, Tensor? weight, Tensor? bias)
    {
        if (!TakesStrided(input) || !TakesAffine(weight, bias, input)) return NormForm.TensorOps;
        if (LibTorch.IsContiguous(input.Handle) == 0 && !MemoryLayout.IsDenseChannelsLast(input)) return NormForm.TensorOps;
        return FitsChannels(LibTorch.Numel(input.Handle), input.size(0), input.size(1)) ? NormForm.Kernel : NormForm.TensorOps;
    }

    /// <inheritdoc cref="FitsRows"/>
    public static bool FitsChannels(long elements, long samples, long channels) =>
        elements > 0 && channels <= MostColumns && elements / channels <= MostColumns && elements / samples <= int.MaxValue;

    /// <summary>
    /// The same for a norm over groups of the channels of a sample, which have to lie together: contiguous, and a group's elements in an int.
    /// </summary>
    public static unsafe NormForm FormOfGroups(Tensor input, Tensor? weight, Tensor? bias, long groups)
    {
        var form = FormOfChannels(input, weight, bias);
        if (form != NormForm.Kernel) return form;
        long sets = input.size(0) * groups;
        return LibTorch.IsContiguous(input.Handle) != 0 && LibTorch.Numel(input.Handle) / sets <= MostColumns && sets <= int.MaxValue ? form : NormForm.TensorOps;
    }

    /// <summary>Whether statistics of a channel each can be read as they lie.</summary>
    public static unsafe bool TakesStatistics(Tensor? statistics) => statistics is null || (Takes(statistics)
        && (ScalarType)LibTorch.Dtype(statistics.Handle) != ScalarType.BFloat16);

    /// <summary>How many bytes to clear where that zeros the tensor (outside any graph, and small enough for one thread); -1 where it does not.</summary>
    public static unsafe long BytesToClear(Tensor tensor)
    {
        nint handle = tensor.Handle;
        if (!Enabled || LibTorch.RequiresGrad(handle) != 0 || !OnCpu(handle, out _) || LibTorch.IsContiguous(handle) == 0) return -1;
        long elements = LibTorch.Numel(handle);
        return elements >= MostCleared ? -1 : elements * TensorMemory.SizeOf(TensorMemory.ElementOf(handle));
    }

    /// <summary>Whether a counter can be raised in place.</summary>
    public static unsafe bool TakesCounter(Tensor counter) => Enabled && LibTorch.DeviceKind(counter.Handle) == (int)DeviceType.CPU
        && (ScalarType)LibTorch.Dtype(counter.Handle) == ScalarType.Int64 && LibTorch.Numel(counter.Handle) == 1 && IsPlain(counter.Handle);

    /// <summary>Whether its memory can be handed to code that knows CPUs only, as MPI does.</summary>
    public static bool IsOnCpu(Tensor tensor) => tensor.device_type == DeviceType.CPU;

    /// <summary>Whether there is anything behind its shape: a tensor of the meta device has no elements.</summary>
    public static bool HasMemory(Tensor tensor) => tensor.device_type != DeviceType.META;

    /// <summary>On the CPU, in plain memory and of a dtype that has kernels, whatever its strides.</summary>
    public static bool TakesStrided(Tensor tensor) => Enabled && OnCpu(tensor.Handle, out _);

    /// <summary>
    /// Whether an optimizer's kernel can update the parameter: all of one size and laid out alike, the gradient of the
    /// parameter's dtype, the state too, or float32 for bfloat16.
    /// </summary>
    public static bool TakesStep(in StepMemory m) => Enabled && m.Parameter.Dense && m.Gradient.Dense && m.Gradient.Dtype == m.Parameter.Dtype
        && m.Gradient.Count == m.Parameter.Count && TakesState(m.State0, m) && TakesState(m.State1, m) && TakesState(m.State2, m)
        && (m.State0.IsMissing ? m.Parameter : m.State0).Dtype == (m.Parameter.Dtype == ScalarType.BFloat16 ? ScalarType.Float32 : m.Parameter.Dtype);

    /// <summary>Whether a kernel copies the gradient to that many elements of a bucket and back; half types go as float32.</summary>
    public static bool TakesBucket(in TensorView gradient, in TensorView bucket, long count) => Enabled && gradient.Dense && bucket.Dense && gradient.Count == count
        && bucket.Dtype == (gradient.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);

    /// <summary>Whether a kernel moves the average towards the value: float64 in float64, float32 and bfloat16 in float32.</summary>
    public static bool TakesAverage(in TensorView average, in TensorView value) => Enabled && average.Dense && value.Dense && average.Count == value.Count
        && average.Dtype == (value.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);

    private static bool TakesState(in TensorView state, in StepMemory m) =>
        state.IsMissing || (state.Dense && state.Dtype == m.State0.Dtype && state.Count == m.Parameter.Count);

    private static unsafe bool OnCpu(nint tensor, out ScalarType dtype)
    {
        dtype = (ScalarType)LibTorch.Dtype(tensor);
        return LibTorch.DeviceKind(tensor) == (int)DeviceType.CPU && Has(dtype) && IsPlain(tensor);
    }

    private static unsafe bool IsEmpty(nint tensor)
    {
        LibTorch.ForgetError();
        return LibTorch.Numel(tensor) == 0;
    }

    private static bool TakesAffine(Tensor? weight, Tensor? bias, Tensor input) =>
        TakesParameter(weight, input) && TakesParameter(bias, input) && (weight is not null || bias is null);

    private static unsafe bool TakesParameter(Tensor? parameter, Tensor input) => parameter is null
        || (LibTorch.DeviceKind(parameter.Handle) == (int)DeviceType.CPU && LibTorch.Dtype(parameter.Handle) == LibTorch.Dtype(input.Handle)
            && LibTorch.IsContiguous(parameter.Handle) != 0 && IsPlain(parameter.Handle));

    private static VectorWidth Widest() =>
        Vector512.IsHardwareAccelerated ? VectorWidth.V512
        : Vector256.IsHardwareAccelerated ? VectorWidth.V256
        : Vector128.IsHardwareAccelerated ? VectorWidth.V128
        : VectorWidth.Scalar;
}
