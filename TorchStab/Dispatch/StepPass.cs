using System.Runtime.CompilerServices;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The tensors that the update of one parameter works on: the gradient is read, the others are read and written.</summary>
internal readonly record struct StepTensors(Tensor Parameter, Tensor Gradient, Tensor? State0 = null, Tensor? State1 = null, Tensor? State2 = null);

/// <summary>
/// One pass over many parameters that updates each by the kernel K. <see cref="Start"/> hands out the calling thread's own, emptied.
/// <typeparamref name="TArguments"/> starts with its <see cref="StepStreams"/>, which <see cref="TryAdd"/> fills in.
/// </summary>
internal sealed unsafe class StepPass<K, TArguments> where K : IStepKernel where TArguments : unmanaged
{
    /// <summary>Chunks that the prefetch runs ahead: two small tensors are about the latency of memory.</summary>
    private const int Ahead = 2;

    [ThreadStatic]
    private static StepPass<K, TArguments>? t_own;

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
    }

    public static StepPass<K, TArguments> Start()
    {
        var pass = t_own ??= new StepPass<K, TArguments>();
        pass._chunks.Clear();
        pass._targets.Clear();
        return pass;
    }

    /// <summary>Takes a parameter in, or leaves it to the tensor-op form and says so. The caller keeps the tensors alive until <see cref="Run"/>.</summary>
    public bool TryAdd(TArguments arguments, in StepTensors tensors)
    {
        if (!KernelSelection.TakesStep(tensors)) return false;
        var kernel = StepKernels<K>.For(tensors.Parameter.dtype, (tensors.State0 ?? tensors.Parameter).dtype);
        if (kernel == null) return false;
        Unsafe.As<TArguments, StepStreams>(ref arguments) = TensorMemory.Streams(tensors);
        _chunks.Add(_targets.Count, LibTorch.Numel(tensors.Parameter.Handle));
        _targets.Add(new() { Arguments = arguments, Kernel = kernel });
        TensorMemory.MarkWritten(tensors.Parameter);
        return true;
    }

    public void Run()
    {
        var job = new Job { Targets = _targets.Items, Chunks = _chunks.Items, Bounds = _chunks.Bounds() };
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

    // The middle of a large tensor needs none.
    private static void Prefetch(Job* job, Chunk chunk)
    {
        if (chunk.First == 0) ((StepStreams*)&job->Targets[chunk.Tensor].Arguments)->Prefetch(chunk.Count);
    }
}
