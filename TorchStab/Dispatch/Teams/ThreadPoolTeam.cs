namespace TorchStab.Dispatch;

/// <summary>
/// The team for processes without libgomp (Windows, macOS). The caller claims runs of items, and pool threads that start in time claim runs too. The caller
/// waits only for pool threads that have entered the job, never for one that has not started, so a busy pool does not delay it.
/// </summary>
internal sealed unsafe class ThreadPoolTeam : IThreadPoolWorkItem
{
    private const int Closed = 1 << 30;
    private const int ClaimsPerThread = 4;

    [ThreadStatic]
    private static ThreadPoolTeam? t_ofThisThread;

    private delegate*<void*, int, int, void> _body;
    private void* _context;
    private int _items, _run, _queued;
    private long _next;
    private int _state = Closed; // number of pool threads in the job, and a flag that no more may enter
    private nint _failure;

    public static void Run(delegate*<void*, int, int, void> body, void* context, int items, int threads)
    {
        var team = t_ofThisThread ??= new ThreadPoolTeam();
        if (Volatile.Read(ref team._state) != Closed) body(context, 0, items); // a job inside a job
        else team.Work(body, context, items, threads);
    }

    void IThreadPoolWorkItem.Execute()
    {
        Interlocked.Decrement(ref _queued);
        for (int state = Volatile.Read(ref _state); (state & Closed) == 0; state = Volatile.Read(ref _state))
        {
            if (Interlocked.CompareExchange(ref _state, state + 1, state) != state) continue;
            Claim();
            Interlocked.Decrement(ref _state);
            return;
        }
    }

    private void Work(delegate*<void*, int, int, void> body, void* context, int items, int threads)
    {
        _body = body;
        _context = context;
        _items = items;
        _next = 0;
        _failure = 0;
        _run = Math.Max(1, items / (threads * ClaimsPerThread));
        Volatile.Write(ref _state, 0);
        while (Volatile.Read(ref _queued) < threads - 1)
        {
            Interlocked.Increment(ref _queued);
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
        Claim();
        Interlocked.Or(ref _state, Closed);
        var spin = new SpinWait();
        while (Volatile.Read(ref _state) != Closed) spin.SpinOnce(sleep1Threshold: -1);
        ParallelTeam.ThrowRecorded(_failure);
    }

    private void Claim()
    {
        try
        {
            for (long first = Take(); first < _items; first = Take()) _body(_context, (int)first, (int)Math.Min(first + _run, _items));
        }
        catch (Exception e)
        {
            ParallelTeam.Record(ref _failure, e);
        }
    }

    private long Take() => Interlocked.Add(ref _next, _run) - _run;
}
