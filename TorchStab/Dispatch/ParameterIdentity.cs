using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Which parameter a tensor is, whatever object and handle hold it: <c>Embedding.weight</c> is a new handle at every read, and a weight that two
/// layers share stands in each of them under a handle of its own. A key for sets and dictionaries; compute it where parameters are collected,
/// not at every step, and only while the tensor is alive.
/// </summary>
/// <param name="Address">The first element in memory, or the native tensor.</param>
/// <param name="Layout">Device, dtype, sizes and strides; null where <paramref name="Address"/> is that of the native tensor.</param>
internal readonly record struct ParameterIdentity(nint Address, string? Layout)
{
    /// <summary>
    /// By memory: equal where the same elements are meant, in the same order. For what reads or writes values. Tensors without memory of their own
    /// (empty, on the meta device, sparse, in an opaque layout) are equal where they are the same native tensor.
    /// </summary>
    public static ParameterIdentity Of(Tensor tensor)
    {
        nint address = TensorMemory.AddressOrZero(tensor);
        return address == 0 ? OfLeaf(tensor) : new(address, FormattableString.Invariant(
            $"{tensor.device_type}:{tensor.device_index} {tensor.dtype} [{string.Join(',', tensor.shape)}] [{string.Join(',', tensor.stride())}]"));
    }

    /// <summary>
    /// By native tensor: equal where the tensors have one gradient in common. For what reads gradients. Two leaves over one memory
    /// (<c>new Parameter(other.detach())</c>) have a gradient each, and neither may be left out.
    /// </summary>
    public static ParameterIdentity OfLeaf(Tensor tensor) => new(TensorMemory.NativeTensor(tensor), null);
}
