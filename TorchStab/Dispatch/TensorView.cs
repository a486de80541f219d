using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// What a kernel has to know of a tensor, read through its handle at once (<see cref="TensorMemory.View(nint)"/>). Valid for one step: the
/// tensor may be moved, resized or replaced before the next.
/// </summary>
internal readonly unsafe struct TensorView
{
    /// <summary>0 where there is no tensor.</summary>
    public nint Handle { get; init; }

    /// <summary>The first element; null unless <see cref="Dense"/>.</summary>
    public void* Data { get; init; }

    public long Count { get; init; }

    public ScalarType Dtype { get; init; }

    /// <summary>Whether a kernel can read it as it lies; see <see cref="KernelSelection.Takes(Tensor)"/>.</summary>
    public bool Dense { get; init; }

    public bool IsMissing => Handle == 0;

    /// <summary>Of a tensor that the caller keeps reachable, or of none.</summary>
    public static TensorView Of(Tensor? tensor) => tensor is null ? default : TensorMemory.View(tensor.Handle);
}
