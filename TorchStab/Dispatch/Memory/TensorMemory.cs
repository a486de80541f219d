using System.Runtime.CompilerServices;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// The only place where a tensor becomes a pointer. Except for <see cref="View(nint)"/>, nothing here checks device, dtype or layout: ask
/// <see cref="KernelSelection"/> first. Read pointers again for every call (5 ns), because <c>set_</c>, <c>resize_</c> and <c>.to()</c> move a tensor's data.
/// The caller keeps the tensor reachable (<see cref="GC.KeepAlive"/>) until the kernel has finished.
/// </summary>
internal static unsafe class TensorMemory
{
    /// <summary>The address of the first element, including the storage offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* At(nint tensor) => LibTorch.Data(tensor);

    /// <summary>The address of a wrapped tensor's first element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Pointer<T>(Tensor tensor) where T : unmanaged => (T*)At(tensor.Handle);

    /// <summary>Bytes of an element.</summary>
    public static int SizeOf(Element element) => element switch { Element.Float64 => 8, Element.Float32 => 4, _ => 2 };

    /// <summary>The kernels' element type for the dtype of a tensor that <see cref="KernelSelection"/> accepted.</summary>
    public static Element ElementOf(nint tensor) => ElementOf((ScalarType)LibTorch.Dtype(tensor));

    /// <inheritdoc cref="ElementOf(nint)"/>
    public static Element ElementOf(ScalarType dtype) => dtype switch
    {
        ScalarType.Float32 => Element.Float32,
        ScalarType.Float64 => Element.Float64,
        ScalarType.Float16 => Element.Float16,
        _ => Element.BFloat16,
    };

    /// <summary>The elements of a small tensor; a span's length is an int, so a large one needs <see cref="Pointer"/>.</summary>
    public static Span<T> Span<T>(Tensor tensor) where T : unmanaged => new(Pointer<T>(tensor), checked((int)LibTorch.Numel(tensor.Handle)));

    /// <summary>Reads everything that a kernel needs about a tensor. The caller keeps the handle alive. Handle 0 gives a missing tensor.</summary>
    public static TensorView View(nint tensor)
    {
        if (tensor == 0) return default;
        if (TensorFields.TryView(tensor, out var view)) return view;
        return !KernelSelection.IsReadableByExports(tensor, out var dtype) ? new() { Handle = tensor } : new()
        {
            Handle = tensor,
            Data = LibTorch.Data(tensor),
            Count = LibTorch.Numel(tensor),
            Dtype = dtype,
            Dense = true,
        };
    }

    /// <summary>The address of the first element of any tensor, on any device; 0 if the tensor has no memory.</summary>
    public static nint AddressOrZero(Tensor tensor)
    {
        nint address = LibTorch.IsAvailable && LibTorch.Numel(tensor.Handle) > 0 ? (nint)LibTorch.Data(tensor.Handle) : 0;
        if (address == 0 && LibTorch.IsAvailable) LibTorch.ForgetError();
        GC.KeepAlive(tensor);
        return address;
    }

    /// <summary>
    /// The address of the native tensor, which several handles may share. A handle is the address of an <c>at::Tensor</c>, whose only member is the pointer
    /// to the native tensor.
    /// </summary>
    public static nint NativeTensor(Tensor tensor)
    {
        nint native = *(nint*)tensor.Handle;
        GC.KeepAlive(tensor);
        return native;
    }

    /// <summary>The address of element <paramref name="start"/>.</summary>
    public static void* Part(in TensorView tensor, long start) => (byte*)tensor.Data + (start * SizeOf(ElementOf(tensor.Handle)));

    /// <summary>The addresses of the tensors of a parameter's update.</summary>
    public static StepStreams Streams(in StepMemory memory) => new()
    {
        Parameter = memory.Parameter.Data,
        Gradient = memory.Gradient.Data,
        State0 = memory.State0.Data,
        State1 = memory.State1.Data,
        State2 = memory.State2.Data,
        Master = memory.Master.Data,
    };

    /// <summary>
    /// Raises the tensor's version counter after a kernel has written to it, as every in-place operation does. A backward pass that saved the old values then
    /// raises its usual error instead of computing wrong gradients. For a leaf, call it inside <c>no_grad</c>.
    /// </summary>
    public static void MarkWritten(Tensor tensor) => MarkWritten(tensor.Handle);

    /// <inheritdoc cref="MarkWritten(Tensor)"/>
    public static void MarkWritten(nint tensor) => LibTorch.TransposeInPlace(tensor, -1, -1);
}
