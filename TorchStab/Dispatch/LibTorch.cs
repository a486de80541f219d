using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// LibTorchSharp's exported C functions, as function pointers. TorchSharp's own wrappers check, box or allocate, which costs more than the arithmetic on a
/// small tensor. If an export is missing, <see cref="IsAvailable"/> is false and every op uses its tensor-op form. Handles are <see cref="Tensor.Handle"/>:
/// keep the tensor reachable until the call has ended.
/// </summary>
/// <remarks>
/// The simple getters suppress the GC transition: they take nanoseconds and never block. Functions that may allocate or free memory do not suppress it.
/// </remarks>
internal static unsafe class LibTorch
{
    private static readonly nint Library = Load();

    /// <summary>
    /// The address of the first element. For a tensor without memory: null, and an error that the next check would report (see <see cref="ForgetError"/>).
    /// </summary>
    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, void*> Data =
        (delegate* unmanaged[SuppressGCTransition]<nint, void*>)Export("THSTensor_data");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long> Numel =
        (delegate* unmanaged[SuppressGCTransition]<nint, long>)Export("THSTensor_numel");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, sbyte> Dtype =
        (delegate* unmanaged[SuppressGCTransition]<nint, sbyte>)Export("THSTensor_type");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, int> DeviceKind =
        (delegate* unmanaged[SuppressGCTransition]<nint, int>)Export("THSTensor_device_type");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, byte> IsContiguous =
        (delegate* unmanaged[SuppressGCTransition]<nint, byte>)Export("THSTensor_is_contiguous");

    /// <summary>Not 0 if memory holds the negated values (<c>z.conj().imag</c>), or if the call fails.</summary>
    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long> IsNegative =
        (delegate* unmanaged[SuppressGCTransition]<nint, long>)Export("THSTensor_is_neg");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, byte> IsSparse =
        (delegate* unmanaged[SuppressGCTransition]<nint, byte>)Export("THSTensor_is_sparse");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, byte> RequiresGrad =
        (delegate* unmanaged[SuppressGCTransition]<nint, byte>)Export("THSTensor_requires_grad");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long> Dimensions =
        (delegate* unmanaged[SuppressGCTransition]<nint, long>)Export("THSTensor_ndimension");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long, long> Size =
        (delegate* unmanaged[SuppressGCTransition]<nint, long, long>)Export("THSTensor_size");

    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long, long> Stride =
        (delegate* unmanaged[SuppressGCTransition]<nint, long, long>)Export("THSTensor_stride");

    public static readonly delegate* unmanaged[SuppressGCTransition]<int> ThreadCount =
        (delegate* unmanaged[SuppressGCTransition]<int>)Export("THSTorch_get_num_threads");

    /// <summary>A new handle to the gradient, or 0. The caller disposes it with <see cref="Dispose"/>.</summary>
    public static readonly delegate* unmanaged<nint, nint> Grad = (delegate* unmanaged<nint, nint>)Export("THSTensor_grad");

    public static readonly delegate* unmanaged<nint, void> Dispose = (delegate* unmanaged<nint, void>)Export("THSTensor_dispose");

    // These return a new handle, or 0 and an error. Call them through the methods below, which check for errors.
    private static readonly delegate* unmanaged<long*, int, sbyte, int, int, byte, nint> ExportedEmpty =
        (delegate* unmanaged<long*, int, sbyte, int, int, byte, nint>)Export("THSTensor_empty");

    private static readonly delegate* unmanaged<nint, sbyte, int, int, byte, nint> ExportedEmptyLike =
        (delegate* unmanaged<nint, sbyte, int, int, byte, nint>)Export("THSTensor_empty_like");

    private static readonly delegate* unmanaged<nint, nint> ExportedAlias = (delegate* unmanaged<nint, nint>)Export("THSTensor_alias");

    private static readonly delegate* unmanaged<nint, nint> ExportedContiguous = (delegate* unmanaged<nint, nint>)Export("THSTensor_contiguous");

    private static readonly delegate* unmanaged<nint, nint> ExportedToDense = (delegate* unmanaged<nint, nint>)Export("THSTensor_to_dense");

    private static readonly delegate* unmanaged<nint, nint> ExportedClone = (delegate* unmanaged<nint, nint>)Export("THSTensor_clone");

    private static readonly delegate* unmanaged<nint> LastError = (delegate* unmanaged<nint>)Export("THSTorch_get_and_reset_last_err");

    /// <summary>(tensor, dim, dim): transposes in place. With two equal dims it changes only the tensor's version counter.</summary>
    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long, long, void> TransposeInPlace =
        (delegate* unmanaged[SuppressGCTransition]<nint, long, long, void>)Export("THSTensor_transpose_");

    public static bool IsAvailable { get; } = Library != 0 && Data != null && Numel != null && Dtype != null && DeviceKind != null
        && IsContiguous != null && IsSparse != null && RequiresGrad != null && Dimensions != null && Size != null && Stride != null
        && ThreadCount != null && Grad != null && Dispose != null && ExportedEmpty != null && ExportedEmptyLike != null && ExportedAlias != null
        && ExportedContiguous != null && TransposeInPlace != null && IsNegative != null && ExportedToDense != null && ExportedClone != null
        && LastError != null;

    /// <summary>Returns a new handle to an uninitialized tensor on the CPU, with the dtype, shape and memory format of another tensor.</summary>
    public static nint EmptyLike(nint tensor) => Made(ExportedEmptyLike(tensor, Dtype(tensor), 0, -1, 0));

    /// <summary>As <see cref="EmptyLike"/>, but on the meta device, without memory: for the sizes and strides alone.</summary>
    public static nint ShapeLike(nint tensor) => Made(ExportedEmptyLike(tensor, Dtype(tensor), (int)TorchSharp.DeviceType.META, -1, 0));

    /// <summary>Returns a new handle to an uninitialized tensor of one dimension on the CPU.</summary>
    public static nint Empty(long elements, sbyte dtype) => Made(ExportedEmpty(&elements, 1, dtype, 0, -1, 0));

    /// <summary>Returns a second handle to the same tensor.</summary>
    public static nint Alias(nint tensor) => Made(ExportedAlias(tensor));

    /// <summary>Returns a new handle to a contiguous tensor: the same tensor if it is contiguous.</summary>
    public static nint Contiguous(nint tensor) => Made(ExportedContiguous(tensor));

    /// <summary>Returns a new handle to the values as a strided tensor: the same tensor if it is strided.</summary>
    public static nint ToDense(nint tensor) => Made(ExportedToDense(tensor));

    /// <summary>Returns a handle to a copy.</summary>
    public static nint Clone(nint tensor) => Made(ExportedClone(tensor));

    /// <summary>Checks a handle that a native call has just returned. For 0 it throws the call's error, before another call clears it.</summary>
    public static nint Made(nint handle) => handle != 0 ? handle : throw Failure();

    /// <summary>The address of an exported function, or 0.</summary>
    public static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;

    /// <summary>Clears the last error on this thread, so that a later check does not report an expected error.</summary>
    public static void ForgetError() => Free(LastError());

    /// <summary>Takes the error message of the last call on this thread; null if it succeeded.</summary>
    public static string? TakeError()
    {
        nint text = LastError();
        string? message = Marshal.PtrToStringAnsi(text);
        Free(text);
        return message;
    }

    /// <summary>Throws the last error, as TorchSharp's function of this name does, but frees the text's memory.</summary>
    /// <exception cref="ExternalException">The last call on this thread failed.</exception>
    public static void CheckForErrors()
    {
        if (TakeError() is { } message) throw new ExternalException(message);
    }

    // The text is a copy by strdup of one or two kilobytes with its stack trace, which TorchSharp never frees. On Windows it belongs to a C runtime that is
    // linked into LibTorchSharp, so code outside that library cannot free it.
    private static void Free(nint text)
    {
        if (!OperatingSystem.IsWindows()) NativeMemory.Free((void*)text);
    }

    private static Exception Failure() => TakeError() is { } message ? new ExternalException(message)
        : new InvalidOperationException("libtorch made no tensor and gave no reason");

    // Uses the name and assembly of TorchSharp's own DllImports, so it finds the same library.
    private static nint Load() =>
        TryInitializeDeviceType(TorchSharp.DeviceType.CPU)
            && NativeLibrary.TryLoad("LibTorchSharp", typeof(TorchSharp.torch).Assembly, null, out nint library) ? library : 0;
}
