using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Reads the fields of libtorch's tensor object in memory. A step needs seven facts about each of hundreds of tensors, and one call of an export takes as long
/// as reading them all.
/// </summary>
/// <remarks>
/// A handle is the address of a C++ <c>Tensor</c>, whose only member points to the object. The object's layout is not a public interface, so
/// <see cref="IsProven"/> is true only if a test saw every field agree with LibTorchSharp's exports, for tensors of many kinds. Otherwise, and for a tensor
/// that is not dense memory of the CPU, the caller asks the exports.
/// </remarks>
internal static unsafe class TensorFields
{
    /// <summary>The most dimensions whose sizes are inside the object.</summary>
    private const int MostInside = 5;

    // Byte offsets in c10::TensorImpl; the last one, of the elements' address, in c10::StorageImpl.
    private const int Storage = 16, Dims = 64, Sizes = 72, Offset = 152, Count = 160, Kind = 168, Keys = 176, Elements = 16;

    // The field at Kind: two bytes of dtype, three of device, then flags, of which the first says whether the tensor is contiguous. Unused flags have any
    // value.
    private const long DtypeBits = 0xFFFF, DeviceBits = 0xFF_FFFF_0000, ContiguousBit = 1L << 40, Mask = DeviceBits | ContiguousBit;

    // The dispatch keys of a tensor whose values are in the CPU's memory. Those of sparse and opaque tensors, of negative views and of inference tensors
    // differ.
    private static readonly long s_plainKeys;

    // The bits of Mask in a contiguous tensor on the CPU.
    private static readonly long s_contiguous;

#pragma warning disable CA1810 // the fields are measured together
    static TensorFields()
    {
        if (!LibTorch.IsAvailable || !BitConverter.IsLittleEndian) return;
        using var normal = inference_mode(false);
        using var scope = NewDisposeScope();
        var plain = zeros([3, 4], ScalarType.Float32, CPU);
        (s_plainKeys, s_contiguous) = (Field(plain, Keys), Field(plain, Kind) & Mask);
        IsProven = Array.TrueForAll(Trials(plain), Agrees) && !Array.Exists(Others(plain), HasPlainKeys);
    }
#pragma warning restore CA1810

    /// <summary>Whether the fields are at the expected addresses.</summary>
    public static bool IsProven { get; }

    /// <summary>Reads a contiguous tensor on the CPU, in plain memory and of a dtype that kernels support; false for any other and for an empty one.</summary>
    public static bool TryView(nint tensor, out TensorView view)
    {
        view = default;
        if (!IsProven) return false;
        byte* native = *(byte**)tensor;
        long kind = *(long*)(native + Kind);
        var dtype = (ScalarType)(kind & DtypeBits);
        if (*(long*)(native + Keys) != s_plainKeys || (kind & Mask) != s_contiguous || !KernelSelection.HasElement(dtype)) return false;
        byte* elements = *(byte**)(*(byte**)(native + Storage) + Elements);
        long count = *(long*)(native + Count);
        if (elements == null || count == 0) return false;
        elements += *(long*)(native + Offset) * TensorMemory.SizeOf(TensorMemory.ElementOf(dtype));
        view = new() { Handle = tensor, Data = elements, Count = count, Dtype = dtype, Dense = true };
        return true;
    }

    /// <summary>The number of dimensions.</summary>
    public static long Dimensions(nint tensor) => IsProven ? *(long*)(*(byte**)tensor + Dims) : LibTorch.Dimensions(tensor);

    /// <summary>The size of a dimension.</summary>
    public static long Size(nint tensor, long dimension) =>
        IsProven && Dimensions(tensor) <= MostInside ? ((long*)(*(byte**)tensor + Sizes))[dimension] : LibTorch.Size(tensor, dimension);

    /// <summary>The address of the storage object (c10::StorageImpl), which several tensors may share. Only if <see cref="IsProven"/>.</summary>
    public static nint StorageOf(nint tensor) => *(nint*)(*(byte**)tensor + Storage);

    private static long Field(Tensor tensor, int offset)
    {
        long field = *(long*)(TensorMemory.NativeTensor(tensor) + offset);
        GC.KeepAlive(tensor);
        return field;
    }

    private static bool HasPlainKeys(Tensor tensor) => Field(tensor, Keys) == s_plainKeys;

    private static bool Agrees(Tensor tensor)
    {
        nint handle = tensor.Handle;
        byte* native = *(byte**)handle;
        long dims = LibTorch.Dimensions(handle), size = tensor.element_size();
        bool agrees = HasPlainKeys(tensor) && *(long*)(native + Dims) == dims && *(long*)(native + Count) == LibTorch.Numel(handle)
            && (*(long*)(native + Kind) & DtypeBits) == LibTorch.Dtype(handle)
            && (*(long*)(native + Kind) & Mask) == s_contiguous == (LibTorch.IsContiguous(handle) != 0)
            && *(byte**)(*(byte**)(native + Storage) + Elements) + (*(long*)(native + Offset) * size) == TensorMemory.At(handle);
        for (int d = 0; agrees && d < dims && dims <= MostInside; d++) agrees = ((long*)(native + Sizes))[d] == LibTorch.Size(handle, d);
        GC.KeepAlive(tensor);
        return agrees;
    }

    private static Tensor[] Trials(Tensor plain)
    {
        var moved = zeros([3, 4], ScalarType.Float64, CPU);
        moved.set_(zeros([5, 2, 3, 1, 4], ScalarType.Float64, CPU).narrow(0, 2, 2));
        var turned = zeros([3, 4], ScalarType.BFloat16, CPU);
        turned.transpose_(0, 1);
        return [plain, plain.t(), plain.narrow(0, 1, 2), plain.narrow(1, 1, 2), plain[1][2], plain.expand(2, 3, 4),
            zeros([2, 4, 5, 3], ScalarType.Float32, CPU).permute(0, 3, 1, 2),
            zeros([2, 1, 2, 1, 2, 2], ScalarType.Float32, CPU), moved, turned, zeros(7, ScalarType.BFloat16, CPU, requires_grad: true),
            zeros([2, 3], ScalarType.Float16, CPU)];
    }

    private static Tensor[] Others(Tensor plain) =>
        [zeros([3, 4], ScalarType.ComplexFloat32, CPU).conj().imag, plain.to_sparse(), zeros([3, 4], ScalarType.Float32, META)];
}
