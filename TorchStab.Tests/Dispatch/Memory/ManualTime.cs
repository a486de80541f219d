namespace TorchStab.Tests.Dispatch.Memory;

/// <summary>A clock that a test moves; its timer, one, rings after every period, and whenever the test has moved it.</summary>
internal sealed class ManualTime : TimeProvider
{
    private TimerCallback? _callback;
    private TimeSpan _now, _period = Timeout.InfiniteTimeSpan;

    public bool TimerRuns => _period != Timeout.InfiniteTimeSpan;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        _callback = callback;
        return new Timer(this);
    }

    /// <summary>Lets time pass, in steps of the timer's period.</summary>
    public void Pass(double seconds)
    {
        for (var end = _now + TimeSpan.FromSeconds(seconds); _now < end;)
        {
            _now += TimerRuns && _period < end - _now ? _period : end - _now;
            if (TimerRuns) _callback!(null);
        }
    }

    private sealed class Timer(ManualTime time) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            time._period = period;
            return true;
        }

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
