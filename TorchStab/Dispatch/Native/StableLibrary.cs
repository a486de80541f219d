using System.Runtime.InteropServices;
using TorchSharp;

namespace TorchStab.Dispatch;

/// <summary>
/// The exports of libtorch's stable C interface (libtorch 2.10 and newer), which calls any operation by its name, on any device. A handle of LibTorchSharp is
/// the address of an <c>at::Tensor</c>, and so is a handle of this interface: one can be used as the other. <see cref="NativeCall"/> makes the calls.
/// </summary>
/// <remarks>Every function returns 0 for success. A failure's message goes to the standard error stream, and cannot be read.</remarks>
internal static unsafe class StableLibrary
{
    private static readonly nint Library = Load();

    // (name, overload, stack, version of the interface)
    private static readonly delegate* unmanaged<byte*, byte*, ulong*, ulong, int> ExportedCall =
        (delegate* unmanaged<byte*, byte*, ulong*, ulong, int>)Export("torch_call_dispatcher");

    private static readonly delegate* unmanaged<ulong> ExportedVersion = (delegate* unmanaged<ulong>)Export("aoti_torch_abi_version");

    private static readonly delegate* unmanaged<nint, nint*, int> ExportedNewHandle =
        (delegate* unmanaged<nint, nint*, int>)Export("aoti_torch_new_tensor_handle");

    private static readonly delegate* unmanaged<nuint, nint*, int> ExportedNewList =
        (delegate* unmanaged<nuint, nint*, int>)Export("torch_new_list_reserve_size");

    private static readonly delegate* unmanaged<nint, ulong, int> ExportedPush = (delegate* unmanaged<nint, ulong, int>)Export("torch_list_push_back");

    private static readonly delegate* unmanaged<nint, nuint*, int> ExportedCount = (delegate* unmanaged<nint, nuint*, int>)Export("torch_list_size");

    private static readonly delegate* unmanaged<nint, nuint, ulong*, int> ExportedItem =
        (delegate* unmanaged<nint, nuint, ulong*, int>)Export("torch_list_get_item");

    private static readonly delegate* unmanaged<nint, int> ExportedDeleteList = (delegate* unmanaged<nint, int>)Export("torch_delete_list");

    private static readonly delegate* unmanaged[SuppressGCTransition]<byte> ExportedRecords =
        (delegate* unmanaged[SuppressGCTransition]<byte>)Export("aoti_torch_grad_mode_is_enabled");

    private static readonly delegate* unmanaged[SuppressGCTransition]<byte, void> ExportedSetRecords =
        (delegate* unmanaged[SuppressGCTransition]<byte, void>)Export("aoti_torch_grad_mode_set_enabled");

    /// <summary>Whether all exports exist.</summary>
    public static bool IsAvailable { get; } = ExportedCall != null && ExportedVersion != null && ExportedNewHandle != null && ExportedNewList != null
        && ExportedPush != null && ExportedCount != null && ExportedItem != null && ExportedDeleteList != null && ExportedRecords != null
        && ExportedSetRecords != null;

    /// <summary>Calls an operation without recording it for autograd: arguments are read from the stack, and results are written to its start.</summary>
    /// <param name="name">As <c>aten::relu</c>, with a zero at the end.</param>
    /// <param name="overload">As <c>Tensor</c>, with a zero at the end; only a zero for the operation without an overload name.</param>
    /// <param name="stack">As many items as the operation has arguments or results, whichever are more. The call owns its handles, lists and cells.</param>
    /// <exception cref="ExternalException">The operation failed.</exception>
    public static void Call(ReadOnlySpan<byte> name, ReadOnlySpan<byte> overload, ulong* stack)
    {
        bool records = ExportedRecords() != 0;
        if (records) ExportedSetRecords(0);
        int error;
        fixed (byte* first = name, second = overload) error = ExportedCall(first, second, stack, ExportedVersion());
        if (records) ExportedSetRecords(1);
        if (error != 0)
            throw new ExternalException($"libtorch's {System.Text.Encoding.ASCII.GetString(name[..^1])} failed; its message is on the standard error stream");
    }

    /// <summary>A second handle to a tensor, which a call may own.</summary>
    public static ulong Owned(nint tensor)
    {
        nint handle;
        Require(ExportedNewHandle(tensor, &handle));
        return (ulong)handle;
    }

    /// <summary>A list of numbers. A call owns it.</summary>
    public static ulong List(ReadOnlySpan<ulong> items)
    {
        nint list;
        Require(ExportedNewList((nuint)items.Length, &list));
        foreach (ulong item in items) Require(ExportedPush(list, item));
        return (ulong)list;
    }

    /// <summary>A list of second handles to tensors. A call owns it.</summary>
    public static ulong List(ReadOnlySpan<nint> tensors)
    {
        nint list;
        Require(ExportedNewList((nuint)tensors.Length, &list));
        foreach (nint tensor in tensors) Require(ExportedPush(list, Owned(tensor)));
        return (ulong)list;
    }

    /// <summary>Reads the tensors of a list that an operation returned, and frees the list. The caller owns the handles.</summary>
    public static nint[] TakeTensors(ulong list)
    {
        nuint count;
        Require(ExportedCount((nint)list, &count));
        nint[] handles = new nint[count];
        fixed (nint* handle = handles)
            for (nuint i = 0; i < count; i++) Require(ExportedItem((nint)list, i, (ulong*)(handle + i)));
        Require(ExportedDeleteList((nint)list));
        return handles;
    }

    private static void Require(int error)
    {
        if (error != 0) throw new ExternalException("libtorch's stable C interface failed; its message is on the standard error stream");
    }

    private static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;

    // As in AutocastLibrary: on Windows the lookup must name the library that exports the functions, which is already loaded.
    private static nint Load() => LibTorch.IsAvailable
        && NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "torch_cpu" : "LibTorchSharp", typeof(torch).Assembly, null, out nint library) ? library : 0;
}
