using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Reads and sets libtorch's autocast state, which TorchSharp has no API for. The functions take and return plain integers, so they can be called by their
/// mangled C++ names (GCC and Clang on Linux and macOS, MSVC on Windows). <see cref="IsAvailable"/> is true only if all functions are exported and a test
/// confirmed that a matrix product follows them.
/// </summary>
/// <remarks>
/// For a device type without autocast the functions raise a C++ exception, which managed code cannot catch. So they are called only for the devices that
/// <see cref="Takes"/> accepts. Each thread has its own autocast state.
/// </remarks>
internal static unsafe class AutocastLibrary
{
    private static readonly nint Library = Load();

    private static readonly delegate* unmanaged<sbyte, byte> ExportedIsEnabled =
        (delegate* unmanaged<sbyte, byte>)Export("19is_autocast_enabledEN3c1010DeviceTypeE", "is_autocast_enabled@autocast@at@@YA_NW4DeviceType@c10@@@Z");

    private static readonly delegate* unmanaged<sbyte, byte, void> ExportedSetEnabled =
        (delegate* unmanaged<sbyte, byte, void>)Export(
            "20set_autocast_enabledEN3c1010DeviceTypeEb", "set_autocast_enabled@autocast@at@@YAXW4DeviceType@c10@@_N@Z");

    private static readonly delegate* unmanaged<sbyte, sbyte> ExportedDtype =
        (delegate* unmanaged<sbyte, sbyte>)Export(
            "18get_autocast_dtypeEN3c1010DeviceTypeE", "get_autocast_dtype@autocast@at@@YA?AW4ScalarType@c10@@W4DeviceType@4@@Z");

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
        && ExportedIsCacheEnabled != null && ExportedSetCacheEnabled != null && ExportedIncrement != null && ExportedDecrement != null
        && ExportedClearCache != null && Works();

    /// <summary>Whether autocast exists for a device of TorchSharp.</summary>
    public static bool Takes(DeviceType device) => device is DeviceType.CPU or DeviceType.CUDA or DeviceType.MPS;

    /// <summary>Whether autocast is on for a device on this thread; false if autocast cannot be switched.</summary>
    public static bool IsOn(DeviceType device) => IsAvailable && Takes(device) && ExportedIsEnabled((sbyte)device) != 0;

    /// <summary>The autocast state of a device on this thread.</summary>
    public static AutocastState Read(DeviceType device) =>
        new(ExportedIsEnabled((sbyte)device) != 0, (ScalarType)ExportedDtype((sbyte)device), ExportedIsCacheEnabled() != 0);

    /// <summary>Sets the autocast state of a device on this thread.</summary>
    public static void Write(DeviceType device, AutocastState state)
    {
        ExportedSetEnabled((sbyte)device, (byte)(state.Enabled ? 1 : 0));
        ExportedSetDtype((sbyte)device, (sbyte)state.Dtype);
        ExportedSetCacheEnabled((byte)(state.Caches ? 1 : 0));
    }

    /// <summary>Opens an autocast region on this thread.</summary>
    public static void Enter() => ExportedIncrement();

    /// <summary>Closes an autocast region on this thread. When the outermost region closes, the cached casts of weights are freed.</summary>
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
        Library != 0
            && NativeLibrary.TryGetExport(Library, OperatingSystem.IsWindows() ? "?" + msvc : "_ZN2at8autocast" + itanium, out nint address) ? address : 0;

    // On Linux and macOS a lookup in LibTorchSharp also finds libtorch's functions. On Windows the lookup must name the library that exports them, which is
    // already loaded.
    private static nint Load()
    {
        if (!LibTorch.IsAvailable) return 0;
        return NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "torch_cpu" : "LibTorchSharp", typeof(torch).Assembly, null, out nint library) ? library : 0;
    }
}

/// <summary>A thread's autocast state: whether autocast is on, the dtype that it casts to, and whether it caches cast weights.</summary>
internal readonly record struct AutocastState(bool Enabled, ScalarType Dtype, bool Caches);
