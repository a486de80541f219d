using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Where a storage's memory is, how large it is, and what frees it. A storage whose fields are all the same as before has the same memory.</summary>
internal readonly record struct StorageMemory(nint Elements, nint Context, nint Deleter, long Bytes);

/// <summary>
/// Reads the fields of libtorch's storage object (c10::StorageImpl) in memory, above all how many tensors share it, for which libtorch exports no function.
/// </summary>
/// <remarks>
/// The object's layout is not a public interface, so <see cref="IsProven"/> is true only if a test saw the fields change exactly as they must when a second
/// tensor over the storage is made and disposed, and when the storage grows.
/// </remarks>
internal static unsafe class StorageFields
{
    // Byte offsets. The first word of the object is its virtual table.
    private const int References = 8, Elements = 16, Context = 24, Deleter = 32, Bytes = 48;

    // The word at References of a storage that one tensor has. libtorch 2.10 keeps two counts in it: below of references, above of weak references. A storage
    // with a weak reference has another word, and counts as shared.
    private static ulong s_single;

    /// <summary>Whether the fields are at the expected addresses, and tensors can be made over a storage.</summary>
    public static bool IsProven { get; } = TensorFields.IsProven && StableLibrary.IsAvailable && Prove();

    /// <summary>
    /// Whether only one tensor has this storage. The caller has that tensor, so no thread can add another one meanwhile. What other threads wrote before they
    /// disposed their tensors is visible afterwards: libtorch lowers the count with release semantics, and this reads it with acquire semantics.
    /// </summary>
    public static bool IsSingle(nint storage) => Volatile.Read(ref *(ulong*)(storage + References)) == s_single;

    /// <summary>The fields that say where the memory is. Another thread may be changing them, unless <see cref="IsSingle"/>.</summary>
    public static StorageMemory Memory(nint storage) =>
        new(*(nint*)(storage + Elements), *(nint*)(storage + Context), *(nint*)(storage + Deleter), *(long*)(storage + Bytes));

    private static bool Prove()
    {
        const int bytes = 48;
        using var normal = inference_mode(false);
        nint one = 0;
        try
        {
            one = LibTorch.Empty(bytes, (sbyte)ScalarType.Byte);
            nint storage = TensorFields.StorageOf(one);
            s_single = *(ulong*)(storage + References);
            var memory = Memory(storage);
            return (uint)s_single == 1 && memory.Bytes == bytes && memory.Elements == (nint)TensorMemory.At(one) && CountsTensors(one, storage)
                && memory == Memory(storage) && ShowsGrowth(one, storage);
        }
        catch (Exception e) when (e is System.Runtime.InteropServices.ExternalException or InvalidOperationException)
        {
            return false;
        }
        finally
        {
            if (one != 0) LibTorch.Dispose(one);
        }
    }

    // Whether each tensor over the storage adds exactly one, and takes it away again; a second handle to a tensor adds nothing.
    private static bool CountsTensors(nint one, nint storage)
    {
        const int tensors = 3;
        nint* others = stackalloc nint[tensors];
        bool proven = true;
        for (int i = 0; i < tensors; i++)
        {
            others[i] = NewTensor.Over(one, (sbyte)ScalarType.Float32, [2, 3], [1, 2]);
            nint alias = LibTorch.Alias(others[i]);
            proven &= TensorFields.StorageOf(others[i]) == storage && *(ulong*)(storage + References) == s_single + (ulong)i + 1 && !IsSingle(storage);
            LibTorch.Dispose(alias);
        }
        for (int i = 0; i < tensors; i++)
        {
            LibTorch.Dispose(others[i]);
            proven &= *(ulong*)(storage + References) == s_single + (ulong)(tensors - 1 - i);
        }
        return proven && IsSingle(storage);
    }

    private static bool ShowsGrowth(nint one, nint storage)
    {
        const long more = 4800;
        var call = new NativeCall();
        call.Add(one);
        call.Add([more]);
        call.AddOptional(0); // the memory format
        call.Run("aten::resize_\0"u8);
        call.Take(0, wanted: false);
        var memory = Memory(storage);
        return TensorFields.StorageOf(one) == storage && memory.Bytes == more && memory.Elements == (nint)TensorMemory.At(one) && IsSingle(storage);
    }
}
