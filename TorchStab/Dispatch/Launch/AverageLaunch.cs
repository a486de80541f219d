using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>One pass over many tensors that moves each average towards its value. <see cref="Start"/> returns the calling thread's instance, emptied.</summary>
internal sealed unsafe class AverageLaunch
{
    [ThreadStatic]
    private static AverageLaunch? t_ofThisThread;

    private readonly Chunks _chunks = new();
    private readonly NativeList<Target> _targets = new();

    private struct Target
    {
        public delegate*<void*, void*, long, long, double, void> Kernel;
        public void* Average, Value;
        public nint Handle;
        public double Weight;
    }

    private struct Job
    {
        public Target* Targets;
        public Chunk* Chunks;
        public int* Bounds;
    }

    public static AverageLaunch Start()
    {
        var pass = t_ofThisThread ??= new AverageLaunch();
        pass._chunks.Clear();
        pass._targets.Clear();
        return pass;
    }

    /// <summary>
    /// Adds a tensor to the pass; false if no kernel can update it, so that the caller must use tensor operations. The caller keeps both tensors alive until
    /// <see cref="Run"/>.
    /// </summary>
    public bool TryAdd(Tensor average, Tensor value, double weight)
    {
        TensorView a = TensorView.Of(average), x = TensorView.Of(value);
        if (!KernelSelection.TakesAverage(a, x)) return false;
        _chunks.Add(_targets.Count, a.Count);
        var kernel = Instances<AverageKernel.Family>.Of(TensorMemory.ElementOf(x.Dtype), (int)KernelSelection.Width).Run;
        _targets.Add(new() { Kernel = kernel, Average = a.Data, Value = x.Data, Handle = a.Handle, Weight = weight });
        return true;
    }

    public void Run()
    {
        var job = new Job { Targets = _targets.Items, Chunks = _chunks.Items, Bounds = _chunks.Bounds() };
        ParallelTeam.Run(&Part, &job, _chunks.Groups, _chunks.Elements >= KernelSelection.ParallelStep);
        for (int i = 0; i < _targets.Count; i++) TensorMemory.MarkWritten(_targets.Items[i].Handle);
    }

    private static void Part(void* context, int first, int last)
    {
        var job = (Job*)context;
        for (int k = job->Bounds[first]; k < job->Bounds[last]; k++)
        {
            var chunk = job->Chunks[k];
            var target = job->Targets + chunk.Tensor;
            target->Kernel(target->Average, target->Value, chunk.First, chunk.Count, target->Weight);
        }
    }
}
