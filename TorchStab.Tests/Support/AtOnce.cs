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
}
