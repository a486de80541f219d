namespace TorchStab.Dispatch;

/// <summary>
/// One pass over many tensors that computes Σ x, Σ x², Σ |x|, max |x| or the number of non-zero elements of each. Chunks are fixed, and their results are
/// merged in order, so the result has the same bits for any number of threads. <see cref="Start"/> returns the calling thread's instance, emptied.
/// </summary>
internal sealed unsafe class ReductionLaunch
{
    [ThreadStatic]
    private static ReductionLaunch? t_ofThisThread;

    private readonly Chunks _chunks = new();
    private readonly NativeList<Source> _sources = new();
    private readonly NativeList<double> _partial = new();
    private readonly NativeList<double> _results = new();

    private struct Source
    {
        public void* Elements;
        public delegate*<void*, long, long, double> Kernel;
    }

    private struct Job
    {
        public Source* Sources;
        public Chunk* Chunks;
        public int* Bounds;
        public double* Partial;
    }

    public static ReductionLaunch Start()
    {
        var pass = t_ofThisThread ??= new ReductionLaunch();
        pass._chunks.Clear();
        pass._sources.Clear();
        return pass;
    }

    /// <summary>Adds a tensor. Null elements are a missing gradient, whose result is 0.</summary>
    public void Add(void* elements, long length, delegate*<void*, long, long, double> kernel)
    {
        if (elements != null) _chunks.Add(_sources.Count, length);
        _sources.Add(new() { Elements = elements, Kernel = kernel });
    }

    /// <summary>Returns the results in the order in which tensors were added; valid until the thread's next pass.</summary>
    public ReadOnlySpan<double> Run(bool max)
    {
        _partial.Resize(_chunks.Count);
        var job = new Job { Sources = _sources.Items, Chunks = _chunks.Items, Bounds = _chunks.Bounds(), Partial = _partial.Items };
        ParallelTeam.Run(&Part, &job, _chunks.Groups, _chunks.Elements >= KernelSelection.ParallelStep);
        _results.Resize(_sources.Count);
        var results = new Span<double>(_results.Items, _sources.Count);
        results.Clear();
        for (int k = 0; k < _chunks.Count; k++)
        {
            ref double result = ref results[_chunks.Items[k].Tensor];
            result = max ? Math.Max(result, _partial.Items[k]) : result + _partial.Items[k]; // Math.Max keeps NaN
        }
        return results;
    }

    private static void Part(void* context, int first, int last)
    {
        var job = (Job*)context;
        for (int k = job->Bounds[first]; k < job->Bounds[last]; k++)
        {
            var chunk = job->Chunks[k];
            var source = job->Sources[chunk.Tensor];
            job->Partial[k] = source.Kernel(source.Elements, chunk.First, chunk.Count);
        }
    }
}
