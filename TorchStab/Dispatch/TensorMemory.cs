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
    public static void* At(nint tensor) => LibTorch.Data(tensor);

    /// <summary>The same of a wrapped tensor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Pointer<T>(Tensor tensor) where T : unmanaged => (T*)At(tensor.Handle);

    /// <summary>Bytes of an element.</summary>
    public static int SizeOf(Element element) => element switch { Element.Float64 => 8, Element.Float32 => 4, _ => 2 };

    /// <summary>The same; null for a missing optional tensor (a norm without weight or bias).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* PointerOrNull<T>(Tensor? tensor) where T : unmanaged => tensor is null ? null : Pointer<T>(tensor);

    /// <summary>The kernels' word for the dtype of a tensor that <see cref="KernelSelection"/> has let through.</summary>
    public static Element ElementOf(nint tensor) => ElementOf((ScalarType)LibTorch.Dtype(tensor));

    /// <inheritdoc cref="ElementOf(nint)"/>
    public static Element ElementOf(ScalarType dtype) => dtype switch
    {
        ScalarType.Float32 => Element.Float32,
        ScalarType.Float64 => Element.Float64,
        _ => Element.BFloat16,
    };

    /// <summary>The elements of a small tensor; a span's length is an int, so a large one needs <see cref="Pointer"/>.</summary>
    public static Span<T> Span<T>(Tensor tensor) where T : unmanaged => new(Pointer<T>(tensor), checked((int)LibTorch.Numel(tensor.Handle)));

    /// <summary>All that a kernel needs of a tensor; the caller keeps the handle alive. 0 gives a missing one.</summary>
    public static TensorView View(nint tensor) => tensor == 0 || !KernelSelection.LiesWell(tensor, out var dtype) ? new() { Handle = tensor } : new()
    {
        Handle = tensor,
        Data = LibTorch.Data(tensor),
        Count = LibTorch.Numel(tensor),
        Dtype = dtype,
        Dense = true,
    };

    /// <summary>The same of any tensor, on any device; 0 where it has no memory of its own.</summary>
    public static nint AddressOrZero(Tensor tensor)
    {
        nint address = LibTorch.IsAvailable && LibTorch.Numel(tensor.Handle) > 0 ? (nint)LibTorch.Data(tensor.Handle) : 0;
        if (address == 0 && LibTorch.IsAvailable) LibTorch.ForgetError();
        GC.KeepAlive(tensor);
        return address;
    }

    /// <summary>
    /// The native tensor, which several handles may share: a handle is the address of an <c>at::Tensor</c>, and that is a pointer to the
    /// tensor and nothing else.
    /// </summary>
    public static nint NativeTensor(Tensor tensor)
    {
        nint native = *(nint*)tensor.Handle;
        GC.KeepAlive(tensor);
        return native;
    }

    /// <summary>The address of an element further on.</summary>
    public static void* Part(in TensorView tensor, long start) => (byte*)tensor.Data + (start * SizeOf(ElementOf(tensor.Handle)));

    /// <summary>Where the tensors of a parameter's update lie.</summary>
    public static StepStreams Streams(in StepMemory memory) => new()
    {
        Parameter = memory.Parameter.Data,
        Gradient = memory.Gradient.Data,
        State0 = memory.State0.Data,
        State1 = memory.State1.Data,
        State2 = memory.State2.Data,
    };

    /// <summary>
    /// Tells autograd that a kernel has written to the tensor, as every in-place operation does: a backward pass that saved the old
    /// values then ends in its usual error instead of in wrong gradients. Inside <c>no_grad</c> for a leaf.
    /// </summary>
    public static void MarkWritten(Tensor tensor) => MarkWritten(tensor.Handle);

    /// <inheritdoc cref="MarkWritten(Tensor)"/>
    public static void MarkWritten(nint tensor) => LibTorch.TransposeInPlace(tensor, -1, -1);
}
