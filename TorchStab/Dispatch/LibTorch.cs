using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// LibTorchSharp's exported C functions, as function pointers: TorchSharp's own wrappers check, box or allocate, which costs
/// more than a small tensor's arithmetic. Where one is missing <see cref="IsAvailable"/> is false and every op stays in its
/// tensor-op form. Handles are <see cref="Tensor.Handle"/>: keep the tensor reachable until the call is over.
/// </summary>
/// <remarks>
/// The trivial getters suppress the GC transition: they take nanoseconds and never block. What may allocate or free does not.
/// </remarks>
internal static unsafe class LibTorch
{
    private static readonly nint Library = Load();

    /// <summary>The first element; null, and an error that waits, for a tensor without memory of its own.</summary>
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

    /// <summary>Whether memory holds the values with the other sign (<c>z.conj().imag</c>); a number that is not 0 where it can't be told.</summary>
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

    public static readonly delegate* unmanaged[SuppressGCTransition]<int> ThreadCount =
        (delegate* unmanaged[SuppressGCTransition]<int>)Export("THSTorch_get_num_threads");

    /// <summary>A new handle to the gradient, or 0; give it to <see cref="Dispose"/>.</summary>
    public static readonly delegate* unmanaged<nint, nint> Grad = (delegate* unmanaged<nint, nint>)Export("THSTensor_grad");

    public static readonly delegate* unmanaged<nint, void> Dispose = (delegate* unmanaged<nint, void>)Export("THSTensor_dispose");

    // These make a handle, and give 0 and an error where they fail: they are reached through the methods below, which look.
    private static readonly delegate* unmanaged<nint, sbyte, int, int, byte, nint> ExportedEmptyLike =
        (delegate* unmanaged<nint, sbyte, int, int, byte, nint>)Export("THSTensor_empty_like");

    private static readonly delegate* unmanaged<nint, nint> ExportedAlias = (delegate* unmanaged<nint, nint>)Export("THSTensor_alias");

    private static readonly delegate* unmanaged<nint, nint> ExportedContiguous = (delegate* unmanaged<nint, nint>)Export("THSTensor_contiguous");

    private static readonly delegate* unmanaged<nint, nint> ExportedToDense = (delegate* unmanaged<nint, nint>)Export("THSTensor_to_dense");

    private static readonly delegate* unmanaged<nint, nint> ExportedClone = (delegate* unmanaged<nint, nint>)Export("THSTensor_clone");

    private static readonly delegate* unmanaged<nint> LastError = (delegate* unmanaged<nint>)Export("THSTorch_get_and_reset_last_err");

    /// <summary>(tensor, dim, dim) in place; of a dim with itself it changes nothing but the tensor's version counter.</summary>
    public static readonly delegate* unmanaged[SuppressGCTransition]<nint, long, long, void> TransposeInPlace =
        (delegate* unmanaged[SuppressGCTransition]<nint, long, long, void>)Export("THSTensor_transpose_");

    public static bool IsAvailable { get; } = Library != 0 && Data != null && Numel != null && Dtype != null && DeviceKind != null
        && IsContiguous != null && IsSparse != null && RequiresGrad != null && Dimensions != null && Size != null && ThreadCount != null && Grad != null && Dispose != null && ExportedEmptyLike != null
        && ExportedAlias != null && ExportedContiguous != null && TransposeInPlace != null && IsNegative != null && ExportedToDense != null && ExportedClone != null && LastError != null;

    /// <summary>A new handle to an uninitialized tensor on the CPU, of the dtype, shape and memory format of another.</summary>
    public static nint EmptyLike(nint tensor) => Made(ExportedEmptyLike(tensor, Dtype(tensor), 0, -1, 0));

    /// <summary>A second handle to the same tensor.</summary>
    public static nint Alias(nint tensor) => Made(ExportedAlias(tensor));

    /// <summary>A new handle to the tensor laid out contiguously: the same tensor where it is so already.</summary>
    public static nint Contiguous(nint tensor) => Made(ExportedContiguous(tensor));

    /// <summary>A new handle to the values as a strided tensor: the same tensor where it is one.</summary>
    public static nint ToDense(nint tensor) => Made(ExportedToDense(tensor));

    /// <summary>A copy in memory of its own.</summary>
    public static nint Clone(nint tensor) => Made(ExportedClone(tensor));

    /// <summary>A handle that a native call has just made; where it made none, its error, before another call clears it.</summary>
    public static nint Made(nint handle) => handle != 0 ? handle : throw Failure();

    /// <summary>The address of an exported function, or 0.</summary>
    public static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;

    /// <summary>Forgets the last error of a call on this thread, so that one that is no news does not come out of a later call.</summary>
    public static void ForgetError() => Free(LastError());

    /// <summary>The text of the call on this thread that has just failed; null where none has.</summary>
    public static string? TakeError()
    {
        nint text = LastError();
        string? message = Marshal.PtrToStringAnsi(text);
        Free(text);
        return message;
    }

    /// <summary>What TorchSharp's own does, without losing the text's memory.</summary>
    /// <exception cref="ExternalException">A call on this thread has just failed.</exception>
    public static void CheckForErrors()
    {
        if (TakeError() is { } message) throw new ExternalException(message);
    }

    // The text is a copy by strdup, a kilobyte or two with its trace, which TorchSharp never frees. On Windows that copy belongs to a C runtime
    // that is linked into LibTorchSharp, so nobody else can free it.
    private static void Free(nint text)
    {
        if (!OperatingSystem.IsWindows()) NativeMemory.Free((void*)text);
    }

    private static Exception Failure() => TakeError() is { } message ? new ExternalException(message) : new InvalidOperationException("libtorch made no tensor and gave no reason");

    // The same name relative to the same assembly as TorchSharp's own DllImports, so it is the library that they bound to.
    private static nint Load() =>
        TryInitializeDeviceType(TorchSharp.DeviceType.CPU) && NativeLibrary.TryLoad("LibTorchSharp", typeof(TorchSharp.torch).Assembly, null, out nint library) ? library : 0;
}
