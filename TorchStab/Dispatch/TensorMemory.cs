using System.Runtime.CompilerServices;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// The only place where a tensor becomes a pointer. Nothing here checks device, dtype or layout: ask
/// <see cref="KernelSelection"/> first. Read pointers anew for every call (5 ns): <c>set_</c>, <c>resize_</c> and
/// <c>.to()</c> move a tensor's data. The caller keeps the tensor reachable (<see cref="GC.KeepAlive"/>) until the kernel is done.
/// </summary>
internal static unsafe class TensorMemory
{
    /// <summary>The address of the first element (the storage offset included).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Pointer<T>(Tensor tensor) where T : unmanaged => (T*)LibTorch.Data(tensor.Handle);

    /// <summary>The same; null for a missing optional tensor (a norm without weight or bias).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* PointerOrNull<T>(Tensor? tensor) where T : unmanaged => tensor is null ? null : Pointer<T>(tensor);

    /// <summary>The kernels' word for the dtype of a tensor that <see cref="KernelSelection"/> has let through.</summary>
    public static Element ElementOf(nint tensor) => (ScalarType)LibTorch.Dtype(tensor) switch
    {
        ScalarType.Float32 => Element.Float32,
        ScalarType.Float64 => Element.Float64,
        _ => Element.BFloat16,
    };

    /// <summary>The elements of a small tensor; a span's length is an int, so a large one needs <see cref="Pointer"/>.</summary>
    public static Span<T> Span<T>(Tensor tensor) where T : unmanaged => new(Pointer<T>(tensor), checked((int)LibTorch.Numel(tensor.Handle)));

    /// <summary>
    /// The gradient's elements without a managed wrapper: null where there is none; <paramref name="usable"/> is false where it
    /// is not dense, contiguous and of the dtype and device of the parameter. Valid until the parameter's gradient is replaced.
    /// </summary>
    public static void* Gradient(nint parameter, out bool usable)
    {
        usable = true;
        nint grad = LibTorch.Grad(parameter);
        if (grad == 0) return null;
        usable = LibTorch.IsSparse(grad) == 0 && LibTorch.DeviceKind(grad) == LibTorch.DeviceKind(parameter)
            && LibTorch.Dtype(grad) == LibTorch.Dtype(parameter) && LibTorch.IsContiguous(grad) != 0;
        void* data = usable ? LibTorch.Data(grad) : null;
        LibTorch.Dispose(grad); // the parameter holds the tensor itself
        return data;
    }
}
