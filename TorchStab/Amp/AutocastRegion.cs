using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// A region of code in which libtorch chooses the dtype of each operation, made by <c>stab.amp.autocast</c>. It ends with <see cref="Dispose"/>.
/// </summary>
/// <remarks>Source: <c>torch.autocast</c>. The region belongs to the thread that opened it.</remarks>
public sealed class AutocastRegion : IDisposable
{
    [ThreadStatic]
    private static AutocastRegion? t_innermost;

    private readonly AutocastRegion? _outer;
    private readonly DeviceType _device;
    private readonly AutocastState _before;
    private readonly int _thread;
    private bool _ended;

    internal AutocastRegion(DeviceType device_type, ScalarType? dtype, bool enabled, bool cache_enabled)
    {
        Require(device_type);
        _before = AutocastLibrary.Read(device_type);
        var cast = dtype ?? _before.Dtype;
        if (enabled) RequireHalf(cast, dtype is not null);
        (_device, _outer, _thread) = (device_type, t_innermost, Environment.CurrentManagedThreadId);
        // As in PyTorch, autocast is off if CUDA is not available.
        enabled &= device_type != DeviceType.CUDA || cuda.is_available();
        AutocastLibrary.Enter();
        AutocastLibrary.Write(device_type, new(enabled, cast, cache_enabled));
        t_innermost = this;
    }

    /// <summary>
    /// Ends the region and restores the thread's previous autocast state. Regions that were opened inside it and are still open end too. The end of the
    /// outermost region frees the cast copies of weights. A second call does nothing.
    /// </summary>
    /// <exception cref="InvalidOperationException">Another thread than the one that opened the region calls, for example after an <c>await</c>.</exception>
    public void Dispose()
    {
        if (_ended) return;
        if (_thread != Environment.CurrentManagedThreadId)
            throw new InvalidOperationException($"this autocast region was opened on thread {_thread} and cannot end on thread "
                + $"{Environment.CurrentManagedThreadId}: autocast is a state of the thread. Open and end it on one thread, with no await in between");
        while (!_ended) t_innermost!.End();
    }

    private void End()
    {
        AutocastLibrary.Leave();
        AutocastLibrary.Write(_device, _before);
        (_ended, t_innermost) = (true, _outer);
    }

    private static void Require(DeviceType device_type)
    {
        if (!AutocastLibrary.Takes(device_type))
            throw new ArgumentException($"User specified an unsupported autocast device_type '{device_type.ToString().ToLowerInvariant()}': "
                + "expected cpu, cuda or mps", nameof(device_type));
        if (!AutocastLibrary.IsAvailable)
            throw new PlatformNotSupportedException("this libtorch does not export the functions that switch autocast, or does not follow them. "
                + "Ask stab.amp.is_autocast_available first, and cast by hand with .to(dtype) where it is false");
    }

    private static void RequireHalf(ScalarType dtype, bool given)
    {
        if (dtype is ScalarType.BFloat16 or ScalarType.Float16) return;
        throw new ArgumentException("autocast only supports dtype of bfloat16, float16 currently, but got "
            + $"{dtype}{(given ? "" : ", the dtype of the region around")}: give one of them, or enabled: false", nameof(dtype));
    }
}
