namespace TorchStab.Dispatch;

/// <summary>
/// Keeps the memory of large outputs and input gradients for the next ones of the same size. Otherwise malloc returns that memory to the system when a tensor
/// is disposed, and the next tensor's pages are mapped and cleared anew, which takes longer than the arithmetic. Setting <c>TorchStab.OutputPool</c> =
/// auto | off (see <see cref="Setting"/>).
/// </summary>
/// <remarks>
/// <para>Nothing runs when an output is disposed: the pool looks which of its blocks are free when it needs one (<see cref="OutputBlock"/>).</para>
/// <para>
/// It holds at most what was in use at once, plus one block: before it makes a block it gives up the free ones that were used longest ago. A timer gives up
/// what is not used any more, and stops when the pool has no blocks.
/// </para>
/// </remarks>
internal sealed class OutputPool
{
    /// <summary>Smaller memory stays in malloc when it is freed.</summary>
    public const long LeastBytes = 1L << 20;

    // Free blocks are given up when no block was taken for the first time span, or when they were not used for the second one.
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5), Stale = TimeSpan.FromSeconds(30), Period = TimeSpan.FromSeconds(1);

    /// <summary>The pool of the process; null if it is switched off, or if libtorch's objects are not as it expects.</summary>
    public static readonly OutputPool? Shared =
        Setting.Read("OutputPool", OutputPoolMode.Auto) == OutputPoolMode.Auto && StorageFields.IsProven ? OfTheProcess() : null;

    private readonly object _gate = new();
    private readonly List<OutputBlock> _blocks = [];
    private readonly TimeProvider _time;
    private readonly ITimer _timer;

    // Bytes of all blocks, of those in use when they were last counted, and the most that were in use at once.
    private long _held, _inUse, _most;
    private long _hits, _misses, _lastUse;
    private bool _closed;

    /// <summary>Creates an empty pool.</summary>
    /// <param name="time">The clock, and the timer that gives up unused blocks.</param>
    public OutputPool(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(_ => GiveUpUnused(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Returns an uninitialized tensor as <see cref="LibTorch.EmptyLike"/> does. Any thread may call this, and may dispose the tensor.</summary>
    /// <param name="like">The tensor whose shape, dtype and layout are wanted.</param>
    /// <param name="bytes">What its elements take.</param>
    public nint Rent(nint like, long bytes)
    {
        lock (_gate)
        {
            var block = Count(bytes);
            _most = Math.Max(_most, _inUse + bytes);
            if (block is null) block = Make(bytes);
            else _hits++;
            block.LastUse = _lastUse = _time.GetTimestamp();
            return block.Output(like);
        }
    }

    /// <summary>What the pool holds now.</summary>
    public OutputPoolStatistics Statistics()
    {
        lock (_gate)
        {
            Count(0);
            return new() { BytesHeld = _held, BytesInUse = _inUse, Hits = _hits, Misses = _misses };
        }
    }

    /// <summary>Gives up every free block at once.</summary>
    public void GiveUpFree()
    {
        lock (_gate) GiveUp(block => block.IsFree);
    }

    // At the process's exit no timer may free memory while libtorch's own objects are being destroyed.
    private static OutputPool OfTheProcess()
    {
        var pool = new OutputPool(TimeProvider.System);
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            lock (pool._gate) pool._closed = true;
        };
        return pool;
    }

    // Counts the bytes in use, and returns the free block of this size that was used last, whose memory may still be in the processor's cache.
    private OutputBlock? Count(long bytes)
    {
        OutputBlock? found = null;
        _inUse = 0;
        for (int i = _blocks.Count - 1; i >= 0; i--)
        {
            var block = _blocks[i];
            bool free = block.IsFree; // first, because only then the other fields are at rest
            if (!block.IsIntact) GiveUp(i);
            else if (!free) _inUse += block.Bytes;
            else if (block.Bytes == bytes && (found is null || found.LastUse < block.LastUse)) found = block;
        }
        return found;
    }

    private OutputBlock Make(long bytes)
    {
        _misses++;
        while (_held > _most && OldestFree() is var oldest and >= 0) GiveUp(oldest);
        var block = new OutputBlock(bytes);
        if (_blocks.Count == 0) _timer.Change(Period, Period);
        _blocks.Add(block);
        _held += bytes;
        return block;
    }

    private int OldestFree()
    {
        int oldest = -1;
        for (int i = 0; i < _blocks.Count; i++)
            if (_blocks[i].IsFree && (oldest < 0 || _blocks[i].LastUse < _blocks[oldest].LastUse)) oldest = i;
        return oldest;
    }

    // The timer's work.
    private void GiveUpUnused()
    {
        lock (_gate)
        {
            if (_closed) return;
            long now = _time.GetTimestamp();
            bool quiet = _time.GetElapsedTime(_lastUse, now) >= Quiet;
            foreach (var block in _blocks)
                if (!block.IsFree) block.LastUse = now;
            GiveUp(block => block.IsFree && (quiet || _time.GetElapsedTime(block.LastUse, now) >= Stale));
        }
    }

    // What was in use before no longer counts: a pool that was given up grows anew with what is used then.
    private void GiveUp(Predicate<OutputBlock> unwanted)
    {
        for (int i = _blocks.Count - 1; i >= 0; i--)
            if (unwanted(_blocks[i])) GiveUp(i);
        _most = Math.Min(_most, _held);
        if (_blocks.Count == 0) _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void GiveUp(int index)
    {
        var block = _blocks[index];
        _blocks.RemoveAt(index);
        _held -= block.Bytes;
        block.GiveUp();
    }
}

/// <summary>Whether the memory of large outputs is kept for the next ones.</summary>
internal enum OutputPoolMode
{
    Auto,
    Off,
}
