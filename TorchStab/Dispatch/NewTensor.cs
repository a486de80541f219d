namespace TorchStab.Dispatch;

/// <summary>New tensors by handle, without a managed wrapper.</summary>
internal static unsafe class NewTensor
{
    /// <summary>Uninitialized, of the shape, dtype and dense layout of another tensor on the CPU, which has a kernel.</summary>
    public static nint Like(nint tensor)
    {
        nint made = LibTorch.EmptyLike(tensor);
        long bytes = LibTorch.Numel(made) * TensorMemory.SizeOf(TensorMemory.ElementOf(made));
        if (bytes >= HugePages.LeastBytes) HugePages.Advise(TensorMemory.At(made), bytes);
        return made;
    }

    /// <summary>Releases an output that is of no use.</summary>
    /// <returns>0, no handle.</returns>
    public static nint Discard(nint output)
    {
        LibTorch.Dispose(output);
        return 0;
    }
}
