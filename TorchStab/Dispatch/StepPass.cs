using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>
/// One pass over many parameters that updates each by its kernel. <see cref="Start"/> hands out the calling thread's own, emptied; all
/// parameters of a pass have arguments of one type.
/// </summary>
internal sealed unsafe class StepPass<TArguments> where TArguments : unmanaged
{
    /// <summary>Chunks that the prefetch runs ahead: two small tensors are about the latency of memory.</summary>
    private const int Ahead = 2;

    /// <summary>Bytes prefetched of each stream: beyond that the hardware has found the stream by itself.</summary>
    private const int Head = 1024;

    [ThreadStatic]
    private static StepPass<TArguments>? t_own;

    private readonly Chunks _chunks = new();
    private readonly NativeList<Target> _targets = new();

    private struct Target
    {
        public delegate*<void*, long, long, void> Kernel;
        public TArguments Arguments;
    }

    private struct Job
    {
        public Target* Targets;
        public Chunk* Chunks;
        public int* Bounds;
        public int Count;
    }

    public static StepPass<TArguments> Start()
    {
        var pass = t_own ??= new StepPass<TArguments>();
        pass._chunks.Clear();
        pass._targets.Clear();
        return pass;
    }

    public void Add(in TArguments arguments, long length, delegate*<void*, long, long, void> kernel)
    {
        _chunks.Add(_targets.Count, length);
        _targets.Add(new() { Arguments = arguments, Kernel = kernel });
    }

    public void Run()
    {
        var job = new Job { Targets = _targets.Items, Chunks = _chunks.Items, Bounds = _chunks.Bounds(), Count = _chunks.Count };
        ParallelTeam.Run(&Part, &job, _chunks.Groups, _chunks.Elements >= KernelSelection.ParallelStep);
    }

    private static void Part(void* context, int first, int last)
    {
        var job = (Job*)context;
        int end = job->Bounds[last];
        for (int k = job->Bounds[first]; k < end; k++)
        {
            if (k + Ahead < end) Prefetch(job, job->Chunks[k + Ahead]);
            var chunk = job->Chunks[k];
            var target = job->Targets + chunk.Tensor;
            target->Kernel(&target->Arguments, chunk.First, chunk.Count);
        }
    }

    private static void Prefetch(Job* job, Chunk chunk)
    {
        if (chunk.First != 0) return; // the middle of a large tensor
        var streams = (StepStreams*)&job->Targets[chunk.Tensor].Arguments;
        int bytes = Math.Min(Head, chunk.Count * sizeof(float));
        for (int offset = 0; offset < bytes; offset += Memory.Line)
        {
            Memory.Prefetch((byte*)streams->Parameter + offset);
            Memory.Prefetch((byte*)streams->Gradient + offset);
            Memory.Prefetch((byte*)streams->State0 + offset);
            Memory.Prefetch((byte*)streams->State1 + offset);
        }
    }
}
