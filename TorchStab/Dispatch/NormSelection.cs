using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The implementations of a norm's equation.</summary>
internal enum NormForm
{
    /// <summary>Tensor operations: any device and dtype, masks, derivatives of any order.</summary>
    TensorOps,

    /// <summary>libtorch's fused operations, on devices that have no kernels.</summary>
    Native,

    /// <summary>The same on float32 copies of half-precision tensors: libtorch's operation does not take them as they are.</summary>
    NativeInFloat32,

    /// <summary>A kernel on the CPU.</summary>
    Kernel,
}

/// <summary>Chooses the form of a norm.</summary>
internal static class NormSelection
{
    /// <summary>The most columns or channels: kernels store them, and the bytes of two rows, in an int.</summary>
    private const long MostColumns = int.MaxValue / 32;

    /// <summary>The most rows: kernels store a row's index, plus a block of rows, in an int.</summary>
    private const long MostRows = int.MaxValue - MostColumns;

    /// <summary>
    /// The form of a norm over rows. A kernel requires contiguous tensors, parameters of the input's dtype (or float32 beside a half-precision input), a weight
    /// if there is a bias, at least one element, and sizes that fit in an int. A native operation requires the same of the parameters and the sizes.
    /// </summary>
    public static NormForm FormOfRows(NativeNorm norm, Tensor input, Tensor? weight, Tensor? bias, long columns)
    {
        bool takes = KernelSelection.Enabled && KernelSelection.IsReadable(input.Handle, out _) && TakesAffine(weight, bias, input);
        return !FitsRows(input.numel(), columns) ? NormForm.TensorOps : takes ? NormForm.Kernel : NativeForm(norm, input, weight, bias);
    }

    /// <summary>Whether no product or sum of the kernels' ints overflows.</summary>
    public static bool FitsRows(long elements, long columns) => elements > 0 && columns <= MostColumns && elements / columns <= MostRows;

    /// <summary>
    /// The form of a norm over channels. A kernel requires an input (N, C, …) that is contiguous or channels_last, parameters as for rows, at least
    /// one element, and sizes that fit in an int. A native operation requires the same, but takes any strides.
    /// </summary>
    public static NormForm FormOfChannels(Tensor input, Tensor? weight, Tensor? bias)
    {
        bool takes = IsKernelOfChannels(input, weight, bias);
        return !FitsChannels(input.numel(), input.size(0), input.size(1)) ? NormForm.TensorOps
            : takes ? NormForm.Kernel : NativeForm(NativeNorm.Batch, input, weight, bias);
    }

    /// <inheritdoc cref="FitsRows"/>
    public static bool FitsChannels(long elements, long samples, long channels) =>
        elements > 0 && channels <= MostColumns && elements / channels <= MostColumns && elements / samples <= int.MaxValue;

    /// <summary>
    /// The form of a norm over groups of a sample's channels. A kernel also requires a contiguous input, and group sizes that fit in an int.
    /// </summary>
    public static unsafe NormForm FormOfGroups(Tensor input, Tensor? weight, Tensor? bias, long groups)
    {
        bool takes = IsKernelOfChannels(input, weight, bias) && LibTorch.IsContiguous(input.Handle) != 0;
        long elements = input.numel(), sets = input.size(0) * groups;
        if (!FitsChannels(elements, input.size(0), input.size(1)) || elements / sets > MostColumns || sets > int.MaxValue) return NormForm.TensorOps;
        return takes ? NormForm.Kernel : NativeForm(NativeNorm.Group, input, weight, bias);
    }

    /// <summary>Whether a native operation can read and write the statistics of channels; true for null.</summary>
    /// <param name="statistics">A running mean or variance.</param>
    /// <param name="form">The form of the norm, chosen by its other tensors.</param>
    /// <param name="input">Its input.</param>
    /// <param name="weight">Its weight.</param>
    public static bool TakesNativeStatistics(Tensor? statistics, NormForm form, Tensor input, Tensor? weight) => statistics is null
        || (statistics.dim() == 1 && IsPlainBeside(input, statistics) && statistics.is_contiguous()
            && statistics.dtype == (form == NormForm.NativeInFloat32 ? ScalarType.Float32 : weight?.dtype ?? input.dtype));

    // libtorch's operations over rows and groups take parameters of the input's dtype only, those over channels also float32 beside a half type. On the CPU
    // they round statistics of half types to the half type, which costs too much precision.
    private static NormForm NativeForm(NativeNorm norm, Tensor input, Tensor? weight, Tensor? bias)
    {
        if (!KernelSelection.WantsNative(input.device_type) || (weight is null && bias is not null) || !IsPlainBeside(input, input)) return NormForm.TensorOps;
        bool half = IsHalf(input);
        if (!half && input.dtype is not (ScalarType.Float32 or ScalarType.Float64)) return NormForm.TensorOps;
        var parameters = weight?.dtype ?? input.dtype;
        if ((bias is not null && bias.dtype != parameters) || (parameters != input.dtype && !(half && parameters == ScalarType.Float32)))
            return NormForm.TensorOps;
        if (!IsPlainBeside(input, weight) || !IsPlainBeside(input, bias) || !NativeProbe.Works(norm, input)) return NormForm.TensorOps;
        return half && (input.device_type == DeviceType.CPU || (parameters != input.dtype && norm != NativeNorm.Batch))
            ? NormForm.NativeInFloat32 : NormForm.Native;
    }

    private static bool IsHalf(Tensor tensor) => tensor.dtype is ScalarType.Float16 or ScalarType.BFloat16;

    private static bool IsPlainBeside(Tensor input, Tensor? tensor) => tensor is null
        || (tensor.device_type == input.device_type && tensor.device_index == input.device_index && KernelSelection.IsPlain(tensor.Handle));

    private static bool IsKernelOfChannels(Tensor input, Tensor? weight, Tensor? bias) => KernelSelection.Enabled && TakesAffine(weight, bias, input)
        && (KernelSelection.IsReadable(input.Handle, out _) || (KernelSelection.TakesNorm(input) && MemoryLayout.IsDenseChannelsLast(input)));

    private static unsafe bool TakesAffine(Tensor? weight, Tensor? bias, Tensor input)
    {
        if (weight is null) return bias is null;
        var (dtype, own) = ((ScalarType)LibTorch.Dtype(weight.Handle), (ScalarType)LibTorch.Dtype(input.Handle));
        bool mixed = dtype == ScalarType.Float32 && own is ScalarType.BFloat16 or ScalarType.Float16;
        return (dtype == own || mixed) && TakesParameter(weight, dtype) && (bias is null || TakesParameter(bias, dtype));
    }

    private static bool TakesParameter(Tensor parameter, ScalarType dtype) => KernelSelection.IsReadable(parameter.Handle, out var own) && own == dtype;
}
