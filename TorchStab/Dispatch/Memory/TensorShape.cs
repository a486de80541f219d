using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Compares shapes by handle, because TorchSharp's <c>shape</c> allocates and takes a hundred times as long.</summary>
internal static unsafe class TensorShape
{
    /// <summary>Whether two tensors have the same sizes.</summary>
    public static bool Same(Tensor a, Tensor b)
    {
        if (!LibTorch.IsAvailable) return a.shape.AsSpan().SequenceEqual(b.shape);
        bool same = Same(a.Handle, b.Handle, last: 0);
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        return same;
    }

    /// <summary>
    /// Whether two tensors that a kernel can read have the same sizes. The last size follows from the other sizes and the number of elements, unless there
    /// are no elements.
    /// </summary>
    public static bool Same(in TensorView a, in TensorView b) => a.Count == b.Count && Same(a.Handle, b.Handle, last: a.Count == 0 ? 0 : 1);

    private static bool Same(nint a, nint b, int last)
    {
        long dims = TensorFields.Dimensions(a);
        if (dims != TensorFields.Dimensions(b)) return false;
        for (long d = 0; d < dims - last; d++)
            if (TensorFields.Size(a, d) != TensorFields.Size(b, d)) return false;
        return true;
    }
}
