namespace TorchStab.Dispatch;

/// <summary>Creates tensors as handles, without managed wrappers.</summary>
internal static unsafe class NewTensor
{
    /// <summary>
    /// Returns an uninitialized tensor with the shape, dtype and layout of another tensor, which is dense, on the CPU and of a dtype that kernels support.
    /// </summary>
    public static nint Like(nint tensor)
    {
        nint made = LibTorch.EmptyLike(tensor);
        long bytes = LibTorch.Numel(made) * TensorMemory.SizeOf(TensorMemory.ElementOf(made));
        if (bytes >= HugePages.LeastBytes) HugePages.Advise(TensorMemory.At(made), bytes);
        return made;
    }

    /// <summary>Releases an unusable output.</summary>
    /// <returns>0, the missing handle.</returns>
    public static nint Discard(nint output)
    {
        LibTorch.Dispose(output);
        return 0;
    }

    /// <summary>
    /// Returns a new handle to the values in plain memory (<see cref="KernelSelection.IsPlain"/>), with any strides: the same tensor if it is plain,
    /// otherwise a copy.
    /// </summary>
    public static nint Plain(nint tensor)
    {
        if (KernelSelection.IsPlain(tensor)) return LibTorch.Alias(tensor);
        nint dense = LibTorch.ToDense(tensor);
        try
        {
            return LibTorch.Clone(dense); // applies the sign flag, and allocates memory for zeros
        }
        finally
        {
            LibTorch.Dispose(dense);
        }
    }

    /// <summary>As <see cref="Plain"/>, but contiguous.</summary>
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
