namespace TorchStab.Dispatch;

/// <summary>Creates tensors as handles, without managed wrappers.</summary>
internal static unsafe class NewTensor
{
    /// <summary>
    /// Returns an uninitialized tensor with the shape, dtype and layout of another tensor, which is dense, on the CPU and of a dtype that kernels support.
    /// </summary>
    public static nint Like(nint tensor)
    {
        long bytes = LibTorch.Numel(tensor) * TensorMemory.SizeOf(TensorMemory.ElementOf(tensor));
        if (bytes < OutputPool.LeastBytes) return LibTorch.EmptyLike(tensor);
        if (OutputPool.Shared is { } pool) return pool.Rent(tensor, bytes);
        nint made = LibTorch.EmptyLike(tensor);
        if (bytes >= HugePages.LeastBytes) HugePages.Advise(TensorMemory.At(made), bytes);
        return made;
    }

    /// <summary>
    /// Returns a new tensor of its own, with the shape, dtype and layout of one tensor in the memory of another, a contiguous one. It is no view for autograd,
    /// and is recorded by nothing.
    /// </summary>
    public static nint LikeIn(nint tensor, nint memory)
    {
        const int usual = 8; // dimensions
        nint shape = LibTorch.ShapeLike(tensor);
        int count = (int)LibTorch.Dimensions(shape);
        Span<long> numbers = count <= usual ? stackalloc long[2 * usual] : new long[2 * count];
        Span<long> sizes = numbers[..count], strides = numbers.Slice(count, count);
        for (int d = 0; d < count; d++) (sizes[d], strides[d]) = (LibTorch.Size(shape, d), LibTorch.Stride(shape, d));
        LibTorch.Dispose(shape);
        return Over(memory, LibTorch.Dtype(tensor), sizes, strides);
    }

    /// <summary>As <see cref="LikeIn"/>, with sizes and strides of its own.</summary>
    public static nint Over(nint memory, sbyte dtype, ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides)
    {
        nint made = LibTorch.Empty(0, dtype);
        var call = new NativeCall();
        call.Add(made);
        call.Add(memory);
        call.Add(0L); // the storage offset
        call.Add(sizes);
        call.Add(strides);
        try
        {
            call.Run("aten::set_\0"u8, "source_Tensor_storage_offset\0"u8);
        }
        catch
        {
            LibTorch.Dispose(made);
            throw;
        }
        call.Take(0, wanted: false); // the same tensor
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
