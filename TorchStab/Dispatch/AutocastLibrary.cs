using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// libtorch's own autocast state, which TorchSharp does not show. The functions take and return plain integers, so they are called by the names
/// that the C++ compilers give them (GCC and Clang on Linux and macOS, MSVC on Windows). <see cref="IsAvailable"/> is true only where all of
/// them are exported and a matrix product was seen to follow them.
/// </summary>
/// <remarks>
/// The functions that take a device type raise a C++ exception for one without autocast, which no managed frame can catch: they are called
/// only for the devices of <see cref="Takes"/>. The state belongs to the thread.
/// </remarks>
internal static unsafe class AutocastLibrary
{
    private static readonly nint Library = Load();

    private static readonly delegate* unmanaged<sbyte, byte> ExportedIsEnabled =
        (delegate* unmanaged<sbyte, byte>)Export("19is_autocast_enabledEN3c1010DeviceTypeE", "is_autocast_enabled@autocast@at@@YA_NW4DeviceType@c10@@@Z");

    private static readonly delegate* unmanaged<sbyte, byte, void> ExportedSetEnabled =
        (delegate* unmanaged<sbyte, byte, void>)Export("20set_autocast_enabledEN3c1010DeviceTypeEb", "set_autocast_enabled@autocast@at@@YAXW4DeviceType@c10@@_N@Z");

    private static readonly delegate* unmanaged<sbyte, sbyte> ExportedDtype =
        (delegate* unmanaged<sbyte, sbyte>)Export("18get_autocast_dtypeEN3c1010DeviceTypeE", "get_autocast_dtype@autocast@at@@YA?AW4ScalarType@c10@@W4DeviceType@4@@Z");

    private static readonly delegate* unmanaged<sbyte, sbyte, void> ExportedSetDtype =
        (delegate* unmanaged<sbyte, sbyte, void>)Export(
            "18set_autocast_dtypeEN3c1010DeviceTypeENS1_10ScalarTypeE", "set_autocast_dtype@autocast@at@@YAXW4DeviceType@c10@@W4ScalarType@4@@Z");

    private static readonly delegate* unmanaged<byte> ExportedIsCacheEnabled =
        (delegate* unmanaged<byte>)Export("25is_autocast_cache_enabledEv", "is_autocast_cache_enabled@autocast@at@@YA_NXZ");

    private static readonly delegate* unmanaged<byte, void> ExportedSetCacheEnabled =
        (delegate* unmanaged<byte, void>)Export("26set_autocast_cache_enabledEb", "set_autocast_cache_enabled@autocast@at@@YAX_N@Z");

    private static readonly delegate* unmanaged<int> ExportedIncrement =
        (delegate* unmanaged<int>)Export("17increment_nestingEv", "increment_nesting@autocast@at@@YAHXZ");

    private static readonly delegate* unmanaged<int> ExportedDecrement =
        (delegate* unmanaged<int>)Export("17decrement_nestingEv", "decrement_nesting@autocast@at@@YAHXZ");

    private static readonly delegate* unmanaged<void> ExportedClearCache =
        (delegate* unmanaged<void>)Export("11clear_cacheEv", "clear_cache@autocast@at@@YAXXZ");

    /// <summary>Whether autocast can be switched in this process.</summary>
    public static bool IsAvailable { get; } = ExportedIsEnabled != null && ExportedSetEnabled != null && ExportedDtype != null && ExportedSetDtype != null
        && ExportedIsCacheEnabled != null && ExportedSetCacheEnabled != null && ExportedIncrement != null && ExportedDecrement != null && ExportedClearCache != null
        && Works();

    /// <summary>The devices of TorchSharp that have autocast.</summary>
    public static bool Takes(DeviceType device) => device is DeviceType.CPU or DeviceType.CUDA or DeviceType.MPS;

    /// <summary>Whether autocast is on for a device on this thread; false where it cannot be switched.</summary>
    public static bool IsOn(DeviceType device) => IsAvailable && Takes(device) && ExportedIsEnabled((sbyte)device) != 0;

    /// <summary>What this thread does now on a device.</summary>
    public static AutocastState Read(DeviceType device) =>
        new(ExportedIsEnabled((sbyte)device) != 0, (ScalarType)ExportedDtype((sbyte)device), ExportedIsCacheEnabled() != 0);

    /// <summary>Makes this thread do so.</summary>
    public static void Write(DeviceType device, AutocastState state)
    {
        ExportedSetEnabled((sbyte)device, (byte)(state.Enabled ? 1 : 0));
        ExportedSetDtype((sbyte)device, (sbyte)state.Dtype);
        ExportedSetCacheEnabled((byte)(state.Caches ? 1 : 0));
    }

    /// <summary>One region more is open on this thread.</summary>
    public static void Enter() => ExportedIncrement();

    /// <summary>One region less; the last one to end frees the weights that were cast for it.</summary>
    public static void Leave()
    {
        if (ExportedDecrement() == 0) ExportedClearCache();
    }

    private static bool Works()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var before = Read(DeviceType.CPU);
        var ones = torch.ones(2, 2, ScalarType.Float32, CPU);
        Write(DeviceType.CPU, new(Enabled: true, ScalarType.BFloat16, Caches: false));
        var inside = ones.mm(ones).dtype;
        Write(DeviceType.CPU, before with { Enabled = false });
        var outside = ones.mm(ones).dtype;
        Write(DeviceType.CPU, before);
        return inside == ScalarType.BFloat16 && outside == ScalarType.Float32 && Read(DeviceType.CPU) == before;
    }

    private static nint Export(string itanium, string msvc) =>
        Library != 0 && NativeLibrary.TryGetExport(Library, OperatingSystem.IsWindows() ? "?" + msvc : "_ZN2at8autocast" + itanium, out nint address) ? address : 0;

    // LibTorchSharp finds libtorch's own names on Linux and macOS; Windows looks in the library that exports them, which is loaded already.
    private static nint Load()
    {
        if (!LibTorch.IsAvailable) return 0;
        return NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "torch_cpu" : "LibTorchSharp", typeof(torch).Assembly, null, out nint library) ? library : 0;
    }
}

/// <summary>What autocast does on a thread: whether it is on, to which dtype it casts, and whether cast weights are kept for the next use.</summary>
internal readonly record struct AutocastState(bool Enabled, ScalarType Dtype, bool Caches);
