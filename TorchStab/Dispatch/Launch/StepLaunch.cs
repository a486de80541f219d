using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>The tensors of one parameter's update: the gradient is read, the others are read and written.</summary>
internal readonly struct StepMemory(in TensorView parameter, in TensorView gradient, in TensorView state0 = default, in TensorView state1 = default,
    in TensorView state2 = default, in TensorView master = default)
{
    public readonly TensorView Parameter = parameter, Gradient = gradient, State0 = state0, State1 = state1, State2 = state2, Master = master;
}

/// <summary>
/// One pass over many parameters that updates each with the kernel <typeparamref name="K"/> and arguments of type <typeparamref name="TArguments"/>.
/// <see cref="Start"/> returns the calling thread's instance, emptied.
/// </summary>
internal sealed unsafe class StepLaunch<K, TArguments> where K : struct, IStepFamily<K> where TArguments : unmanaged
{
    /// <summary>How many chunks ahead to prefetch: the update of two small tensors takes about as long as a memory access.</summary>
    private const int Ahead = 2;

    [ThreadStatic]
    private static StepLaunch<K, TArguments>? t_ofThisThread;

    private readonly Chunks _chunks = new();
    private readonly NativeList<Target> _targets = new();

    private struct Target
    {
        public delegate*<StepJob*, int, int, void> Update;
        public nint Parameter;
        public StepStreams Streams;
        public TArguments Arguments;
    }

    private struct Job
    {
        public Target* Targets;
        public Chunk* Chunks;
        public int* Bounds;
    }

    public static StepLaunch<K, TArguments> Start()
    {
        var pass = t_ofThisThread ??= new StepLaunch<K, TArguments>();
        pass._chunks.Clear();
        pass._targets.Clear();
        return pass;
    }

    /// <summary>
    /// Adds a parameter to the pass; false if no kernel can update it, so that the caller must use the tensor-op form. The caller keeps the tensors alive
    /// until <see cref="Run"/>.
    /// </summary>
    public bool TryAdd(in TArguments arguments, in StepMemory memory)
    {
        if (!KernelSelection.TakesStep(memory)) return false;
        var update = Instances<K>.Of(TensorMemory.ElementOf(memory.Parameter.Dtype), (int)KernelSelection.Width).Update;
        _chunks.Add(_targets.Count, memory.Parameter.Count);
        _targets.Add(new() { Update = update, Parameter = memory.Parameter.Handle, Streams = TensorMemory.Streams(memory), Arguments = arguments });
        return true;
    }

    public void Run()
    {
        var job = new Job { Targets = _targets.Items, Chunks = _chunks.Items, Bounds = _chunks.Bounds() };
        ParallelTeam.Run(&Part, &job, _chunks.Groups, _chunks.Elements >= KernelSelection.ParallelStep);
        for (int i = 0; i < _targets.Count; i++) TensorMemory.MarkWritten(_targets.Items[i].Parameter);
    }

    private static void Part(void* context, int first, int last)
    {
        var job = (Job*)context;
        int start = job->Bounds[first];
        // In reverse order, because the gradients that the norm read last are still in the caches.
        for (int k = job->Bounds[last] - 1; k >= start; k--)
        {
            if (k - Ahead >= start) Prefetch(job, job->Chunks[k - Ahead]);
            var chunk = job->Chunks[k];
            var target = job->Targets + chunk.Tensor;
            var run = new StepJob { Streams = &target->Streams, Arguments = &target->Arguments, First = chunk.First };
            target->Update(&run, 0, chunk.Count);
        }
    }

    // Only the first chunk of a tensor: afterwards the hardware prefetches.
    private static void Prefetch(Job* job, Chunk chunk)
    {
        if (chunk.First == 0) job->Targets[chunk.Tensor].Streams.Prefetch(chunk.Count);
    }
}
