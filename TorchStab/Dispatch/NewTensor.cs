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

    /// <summary>The values in plain memory, whatever the strides: a copy of what lies otherwise (<see cref="KernelSelection.IsPlain"/>).</summary>
    public static nint Plain(nint tensor)
    {
        if (KernelSelection.IsPlain(tensor)) return LibTorch.Alias(tensor);
        nint dense = LibTorch.ToDense(tensor);
        try
        {
            return LibTorch.Clone(dense); // resolves signs, and writes the zeros
        }
        finally
        {
            LibTorch.Dispose(dense);
        }
    }

    /// <summary>The same, contiguous: the same tensor where it is so already.</summary>
    public static nint Contiguous(nint tensor)
    {
        if (KernelSelection.IsPlain(tensor)) return LibTorch.Contiguous(tensor);
        nint plain = Plain(tensor);
        try
        {
            return LibTorch.Contiguous(plain);
        }
        finally
        {
            LibTorch.Dispose(plain);
        }
    }
}
