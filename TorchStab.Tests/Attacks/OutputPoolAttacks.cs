using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>The pool of output memory at the edges of a process: switched off, emptied while other threads work, and at the exit.</summary>
public static unsafe class OutputPoolAttacks
{
    private static readonly List<Tensor> Held = [];

    [Attack(Environment = ["TORCHSTAB_OUTPUTPOOL=off"])]
    public static void SwitchedOff()
    {
        Work(0);
        Expect.True(OutputPool.Shared is null && Memory.OutputPoolStatistics == default, "there is a pool");
        Memory.EmptyOutputPool();
    }

    [Attack(Environment = ["TORCHSTAB_OUTPUTPOOL=large"])]
    public static void UnknownValue() => Expect.Throws<InvalidOperationException>(() => Work(0),
        "the environment variable TORCHSTAB_OUTPUTPOOL is 'large'; expected one of auto, off");

    /// <summary>
    /// Threads that train while another one empties the pool; the process ends while that one runs, and one that disposes outputs. (libtorch itself does not
    /// survive an exit during a backward pass.)
    /// </summary>
    [Attack]
    public static void ExitAmongThreads()
    {
        Background(Memory.EmptyOutputPool);
        var threads = Enumerable.Range(0, 3).Select(i => new Thread(() =>
        {
            for (int step = 0; step < 15; step++) Work(i + step);
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Expect.True(Memory.OutputPoolStatistics.Misses > 3, "nothing ran");
        using var like = ones(600, 500);
        var outputs = new Stack<nint>(Enumerable.Range(0, 500).Select(_ => NewTensor.Like(like.Handle)));
        Background(() =>
        {
            if (outputs.TryPop(out nint output)) LibTorch.Dispose(output);
        });
        Thread.Sleep(5);
    }

    /// <summary>Outputs that are still alive when the process ends, some disposed by the handler of that event.</summary>
    [Attack]
    public static void ExitWithOutputs()
    {
        for (int i = 0; i < 6; i++) Held.Add(stab.nn.functional.layer_norm(randn(512, 512 + i), [512 + i]));
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var output in Held.Take(3)) output.Dispose();
            Work(1);
            Memory.EmptyOutputPool();
        };
        Held[0].Dispose();
        Held[1] = null!;
        Held.RemoveAt(1);
        GC.Collect();
    }

    /// <summary>What ran once holds nothing after some seconds, and the process is as large as before.</summary>
    [Attack]
    public static void IdleMemoryGoesBack()
    {
        const int megabytes = 256;
        if (!OperatingSystem.IsLinux()) return;
        Work(0);
        using (var input = randn(megabytes, 512, 512)) stab.nn.functional.layer_norm(input, [512]).Dispose();
        Expect.True(Memory.OutputPoolStatistics.BytesHeld >= megabytes << 20, "nothing is kept");
        long before = Environment.WorkingSet;
        for (int wait = 0; wait < 100 && Memory.OutputPoolStatistics.BytesHeld > 0; wait++) Thread.Sleep(200);
        Expect.True(Memory.OutputPoolStatistics.BytesHeld == 0, "memory is kept");
        Expect.True(before - Environment.WorkingSet > megabytes / 2 << 20, "the system did not get it");
    }

    private static void Background(Action work)
    {
        var thread = new Thread(() =>
        {
            while (true)
            {
                work();
                Thread.Yield();
            }
        })
        { IsBackground = true };
        thread.Start();
    }

    // A layer norm and the same in float64, forward and backward.
    private static void Work(int seed)
    {
        using var scope = NewDisposeScope();
        long features = 500 + (seed % 3);
        Tensor x = randn(600, features, requires_grad: true), gradient = randn(600, features), wide = x.detach().to(ScalarType.Float64).requires_grad_(true);
        Tensor y = stab.nn.functional.layer_norm(x, [features]), right = stab.nn.functional.layer_norm(wide, [features]);
        y.backward([gradient]);
        right.backward([gradient.to(ScalarType.Float64)]);
        Expect.Close(right, y);
        Expect.Close(wide.grad!, x.grad!);
    }
}
