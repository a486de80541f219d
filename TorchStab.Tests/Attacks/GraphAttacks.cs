using System.Diagnostics;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Graphs that are deep, shared by threads, or dropped by a thread that is interrupted.</summary>
public static class GraphAttacks
{
    private const int SmallStack = 256 * 1024;

    private static readonly long[] Row = [8];

    /// <summary>Drops chains of norms on a stack that holds few levels of them: by disposing, within a backward pass, by the finalizer.</summary>
    [Attack]
    public static void DeepChains()
    {
        AutogradPlug.Kind = AutogradKind.Pooled; // Function<T> releases within its callback
        OnStack(SmallStack, () => Chain(30_000, mixed: false).Dispose());
        OnStack(SmallStack, () => Chain(5000, mixed: true).Dispose());
        OnStack(SmallStack, () =>
        {
            using var y = Chain(5000, mixed: false);
            y.sum().backward(retain_graph: true);
        });
        OnStack(SmallStack, () => _ = Chain(30_000, mixed: false));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Expect.True(PooledPlug.Created == PooledPlug.Idle, $"{PooledPlug.Created - PooledPlug.Idle} nodes did not come back");
    }

    /// <summary>A recurrent network over many steps, dropped in a scope.</summary>
    [Attack]
    public static void LongSequence() => OnStack(SmallStack, () =>
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(4, 4);
        var (output, _, _) = lstm.call(randn(5000, 1, 4));
        output.sum().backward();
    });

    /// <summary>Backward from several threads through one shared node: the right gradients, or autograd's error where the graph was freed.</summary>
    [Attack]
    public static void SharedNodes()
    {
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            Console.WriteLine($"{kind}");
            for (int run = 0; run < 60; run++) Share(retain: run % 2 == 0);
        }
    }

    /// <summary>A thread that is interrupted while graphs are built and dropped, beside others that do the same; a trace listener that raises.</summary>
    [Attack]
    public static void InterruptedThreads()
    {
        Trace.Listeners.Clear();
        Trace.Listeners.Add(new Raising());
        var stop = false;
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() => Interruptible(ref stop))).ToList();
        threads.ForEach(t => t.Start());
        for (int i = 0; i < 4000; i++) threads[i % 4].Interrupt();
        Volatile.Write(ref stop, true);
        threads.ForEach(t => t.Join());
        using var x = randn(4, 8, requires_grad: true);
        using var source = x * 1;
        using var y = stab.nn.functional.layer_norm(source, Row);
        source.add_(1);
        Expect.Throws<Exception>(() => y.sum().backward(), "modified by an inplace operation");
    }

    private static void Interruptible(ref bool stop)
    {
        while (!Volatile.Read(ref stop))
        {
            try
            {
                using var x = randn(4, 8, requires_grad: true);
                using var y = stab.nn.functional.layer_norm(x, Row);
                using var z = stab.nn.functional.layer_norm(y, Row);
                z.backward([x]);
            }
            catch (Exception e) when (e is ThreadInterruptedException or System.Runtime.InteropServices.ExternalException)
            {
                // Where managed code waits it may be interrupted.
            }
        }
    }

    private static void Share(bool retain)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 8, requires_grad: true), weight = randn(8, requires_grad: true), upstream = randn(64, 8);
        using var shared = stab.nn.functional.layer_norm(x, Row, weight);
        Tensor[] leaves = [.. Enumerable.Range(0, 3).Select(_ => ones(1, requires_grad: true))],
            losses = [.. leaves.Select(l => (shared * l * upstream).sum())];
        var expected = autograd.grad([(stab.nn.functional.layer_norm(x, Row, weight) * upstream).sum()], [weight])[0];
        using var start = new Barrier(losses.Length);
        int failed = 0;
        var threads = losses.Select(loss => new Thread(() =>
        {
            start.SignalAndWait();
            try
            {
                loss.backward(retain_graph: retain);
            }
            catch (System.Runtime.InteropServices.ExternalException e) when (!retain && e.Message.Contains("second time", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref failed);
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Expect.Close(expected * (losses.Length - failed), weight.grad!, 1e-4);
    }

    private static Tensor Chain(int length, bool mixed)
    {
        var x = randn(2, 8, requires_grad: true);
        for (int i = 0; i < length; i++)
        {
            var next = stab.nn.functional.layer_norm(x, Row);
            x.Dispose();
            x = next;
            if (!mixed) continue;
            next = x * x;
            x.Dispose();
            x = next;
        }
        return x;
    }

    private static void OnStack(int bytes, Action work)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                failure = e;
            }
        }, bytes);
        thread.Start();
        thread.Join();
        if (failure is not null) throw new InvalidOperationException(failure.Message, failure);
    }

    private sealed class Raising : TraceListener
    {
        public override void Write(string? message) => throw new InvalidOperationException("a listener");

        public override void WriteLine(string? message) => throw new InvalidOperationException("a listener");
    }
}
