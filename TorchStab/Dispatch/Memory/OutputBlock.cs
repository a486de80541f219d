using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Memory for outputs of one size. The block has a tensor of its own over the storage, which nobody else gets; each output is another tensor over it. So the
/// block is free when its own tensor is the only one, whatever became of the output: views of it, copies of its handle and tensors that a graph saved all
/// count.
/// </summary>
internal sealed unsafe class OutputBlock
{
    private readonly nint _tensor, _storage;
    private readonly StorageMemory _memory;

    /// <summary>Allocates the memory. It is exactly as large as the output, because saving a tensor writes its whole storage.</summary>
    public OutputBlock(long bytes)
    {
        Bytes = bytes;
        _tensor = LibTorch.Empty(bytes, (sbyte)ScalarType.Byte);
        _storage = TensorFields.StorageOf(_tensor);
        _memory = StorageFields.Memory(_storage);
        if (bytes >= HugePages.LeastBytes) HugePages.Advise((void*)_memory.Elements, bytes);
    }

    public long Bytes { get; }

    /// <summary>When the block was last seen in use.</summary>
    public long LastUse { get; set; }

    /// <summary>Whether no tensor uses the memory. It stays so until the next <see cref="Output"/>: only that makes tensors from the block's own.</summary>
    public bool IsFree => StorageFields.IsSingle(_storage);

    /// <summary>
    /// Whether the storage still has the memory that it was made with. <c>resize_</c> gives it other memory, and a lazy copy shares the memory with another
    /// storage. Such a block is given up; the output lives on like any other tensor.
    /// </summary>
    public bool IsIntact => StorageFields.Memory(_storage) == _memory;

    /// <summary>A new tensor over the memory with the shape, dtype and layout of another tensor, whose elements take as many bytes.</summary>
    public nint Output(nint like) => NewTensor.LikeIn(like, _tensor);

    /// <summary>Gives up the memory: if it is in use, the last tensor frees it.</summary>
    public void GiveUp() => LibTorch.Dispose(_tensor);
}
