using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Identifies a parameter independently of its wrapper and handle: each read of <c>Embedding.weight</c> returns a new handle, and two layers that share a
/// weight have a handle each. It is a key for sets and dictionaries. Compute it when parameters are collected, not at every step, and use it only while the
/// tensor is alive.
/// </summary>
/// <param name="Address">The address of the first element, or of the native tensor.</param>
/// <param name="Layout">Device, dtype, sizes and strides; null if <paramref name="Address"/> is the address of the native tensor.</param>
internal readonly record struct ParameterIdentity(nint Address, string? Layout)
{
    /// <summary>
    /// Identity by memory, for code that reads or writes values: equal if two tensors have the same elements in the same order. Tensors without memory
    /// (empty, on the meta device, sparse, in an opaque layout) are equal if they are the same native tensor.
    /// </summary>
    public static ParameterIdentity Of(Tensor tensor)
    {
        nint address = TensorMemory.AddressOrZero(tensor);
        return address == 0 ? OfLeaf(tensor) : new(address, FormattableString.Invariant(
            $"{tensor.device_type}:{tensor.device_index} {tensor.dtype} [{string.Join(',', tensor.shape)}] [{string.Join(',', tensor.stride())}]"));
    }

    /// <summary>
    /// Identity by native tensor, for code that reads gradients: equal if two tensors share one <c>.grad</c>. Two leaves with the same memory (<c>new
    /// Parameter(other.detach())</c>) have a gradient each, and both must be included.
    /// </summary>
    public static ParameterIdentity OfLeaf(Tensor tensor) => new(TensorMemory.NativeTensor(tensor), null);

    /// <summary>The addresses of a tensor whose elements fill a block of memory without gaps, in any order; null for others.</summary>
    public static (nint Start, nint End)? Block(Tensor tensor)
    {
        nint start = TensorMemory.AddressOrZero(tensor);
        long last = tensor.shape.Zip(tensor.stride()).Sum(d => (d.First - 1) * d.Second);
        return start != 0 && last + 1 == tensor.numel() ? (start, start + (nint)((last + 1) * tensor.element_size())) : null;
    }
}
