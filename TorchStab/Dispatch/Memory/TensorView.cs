using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Everything that a kernel needs about a tensor (<see cref="TensorMemory.View(nint)"/>). Valid for one step, because the tensor may be moved, resized or
/// replaced before the next.
/// </summary>
internal readonly unsafe struct TensorView
{
    /// <summary>0 if there is no tensor.</summary>
    public nint Handle { get; init; }

    /// <summary>The address of the first element; null unless <see cref="Dense"/>.</summary>
    public void* Data { get; init; }

    public long Count { get; init; }

    public ScalarType Dtype { get; init; }

    /// <summary>Whether a kernel can read the tensor, as in <see cref="KernelSelection.Takes(Tensor)"/>, but also while kernels are off.</summary>
    public bool Dense { get; init; }

    public bool IsMissing => Handle == 0;

    /// <summary>Returns the view of a tensor, which the caller keeps reachable; null gives a missing tensor.</summary>
    public static TensorView Of(Tensor? tensor) => tensor is null ? default : TensorMemory.View(tensor.Handle);
}
