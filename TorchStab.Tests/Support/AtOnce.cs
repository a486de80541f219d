using System.Collections.Concurrent;

namespace TorchStab.Tests.Support;

/// <summary>Runs the same work on several threads at once.</summary>
internal static class AtOnce
{
    /// <summary>Fails with whatever any of the threads threw.</summary>
    public static void Run(int threads, Action<int> work)
    {
        var failures = new ConcurrentQueue<Exception>();
        var running = Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            try
            {
                work(i);
            }
            catch (Exception e)
            {
                failures.Enqueue(e);
            }
        })).ToList();
        running.ForEach(t => t.Start());
        running.ForEach(t => t.Join());
        Assert.Empty(failures);
    }

    /// <summary>
    /// Asserts that the same work gives on each of several threads what it gives alone, while memory is collected all the time.
    /// </summary>
    public static void AssertSame<T>(int threads, Func<T> work)
    {
        using var stop = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                GC.Collect();
                Thread.Sleep(1); // without a pause the next collection begins before a waiting thread has woken: nobody works
            }
        });
        collector.Start();
        var together = new T[threads];
        T alone;
        try
        {
            alone = work();
            Run(threads, i => together[i] = work());
        }
        finally
        {
            stop.Cancel();
            collector.Join();
        }
        Assert.All(together, result => Assert.Equal(alone, result));
    }
}
