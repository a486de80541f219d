using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// The gradients of many parameters as native handles, because a managed object for each costs more than the update of a small tensor. From
/// <see cref="Read"/> to <see cref="Release"/> the handles keep the gradients alive, even if <c>.grad</c> changes. If LibTorchSharp's exports are missing,
/// tensors are used instead.
/// </summary>
internal sealed unsafe class GradientHandles
{
    /// <summary>From this number of parameters on, several threads read them: each read waits for memory.</summary>
    private const int Parallel = 64;

    private readonly NativeList<nint> _given = new();
    private readonly NativeList<TensorView> _parameters = new(), _gradients = new();
    private readonly NativeList<int> _places = new();
    private readonly List<Tensor> _tensors = [];

    private struct Job
    {
        public nint* Handles;
        public TensorView* Parameters, Gradients;
        public bool GradientsOnly;
    }

    /// <summary>The number of parameters that have a gradient.</summary>
    public int Count => _places.Count;

    /// <summary>The parameters that have a gradient, in their order.</summary>
    public ReadOnlySpan<TensorView> Parameters => new(_parameters.Items, Count);

    public ReadOnlySpan<TensorView> Gradients => new(_gradients.Items, Count);

    /// <summary>The index of each of these parameters in the list that was read.</summary>
    public ReadOnlySpan<int> ParameterIndices => new(_places.Items, Count);

    /// <summary>
    /// Reads which parameters have a gradient, and the memory of both. The caller keeps the parameters reachable until <see cref="Release"/>.
    /// </summary>
    /// <param name="parameters">The parameters of a model or of a parameter group.</param>
    /// <param name="gradientsOnly">Whether to leave <see cref="Parameters"/> unset, which takes a third of the time. Default false.</param>
    public void Read(IReadOnlyList<Parameter> parameters, bool gradientsOnly = false)
    {
        int count = parameters.Count;
        _given.Resize(count);
        _parameters.Resize(count);
        _gradients.Resize(count);
        for (int i = 0; i < count; i++) _given.Items[i] = parameters[i].Handle;
        var job = new Job { Handles = _given.Items, Parameters = _parameters.Items, Gradients = _gradients.Items, GradientsOnly = gradientsOnly };
        if (LibTorch.IsAvailable) ParallelTeam.Run(&ReadParts, &job, count, count >= Parallel);
        else LookAtTensors(parameters);
        for (int i = 0; i < count; i++) if (!_gradients.Items[i].IsMissing) Keep(i);
    }

    /// <summary>Reads the memory of one parameter and its gradient again.</summary>
    public void Reread(int i, nint parameter)
    {
        (_parameters.Items[i], _gradients.Items[i]) = (TensorMemory.View(parameter), TensorMemory.View(_gradients.Items[i].Handle));
        if (LibTorch.IsAvailable) RequireShape(ref _gradients.Items[i], _parameters.Items[i]);
    }

    /// <summary>Returns a gradient as a tensor that belongs to the current DisposeScope.</summary>
    public Tensor Tensor(int i) => LibTorch.IsAvailable ? TorchSharp.torch.Tensor.UnsafeCreateTensor(LibTorch.Alias(_gradients.Items[i].Handle)) : _tensors[i];

    /// <summary>Whether parameter and gradient are contiguous on the CPU, have the same sizes, and have dtypes that kernels support.</summary>
    public bool Fits(int i) => _gradients.Items[i].Dense && _parameters.Items[i].Dense;

    /// <summary>Copies some gradients of another instance as they were when it read them, even if <c>.grad</c> has changed since.</summary>
    public void Take(GradientHandles other, int[] indices)
    {
        _parameters.Resize(indices.Length);
        _gradients.Resize(indices.Length);
        for (int i = 0; i < indices.Length; i++)
        {
            var gradient = other._gradients.Items[indices[i]];
            if (LibTorch.IsAvailable) gradient = gradient with { Handle = LibTorch.Alias(gradient.Handle) };
            else _tensors.Add(other._tensors[indices[i]]);
            (_parameters.Items[i], _gradients.Items[i]) = (other._parameters.Items[indices[i]], gradient);
            _places.Add(i);
        }
    }

    /// <summary>Releases the gradients.</summary>
    public void Release()
    {
        for (int i = 0; i < Count && LibTorch.IsAvailable; i++) LibTorch.Dispose(_gradients.Items[i].Handle);
        _places.Clear();
        _tensors.Clear();
    }

    private void Keep(int i)
    {
        (_parameters.Items[Count], _gradients.Items[Count]) = (_parameters.Items[i], _gradients.Items[i]);
        _places.Add(i);
    }

    // A kernel sees only the number of elements, and would accept a gradient of shape (6) or (3, 2) for a parameter of shape (2, 3).
    private static void RequireShape(ref TensorView gradient, in TensorView parameter)
    {
        if (gradient.Dense && parameter.Dense && !TensorShape.Same(gradient, parameter)) gradient = gradient with { Dense = false };
    }

    private static void ReadParts(void* context, int first, int last)
    {
        var job = (Job*)context;
        for (int i = first; i < last; i++)
        {
            nint gradient = LibTorch.Grad(job->Handles[i]);
            job->Gradients[i] = TensorMemory.View(gradient);
            if (gradient == 0 || job->GradientsOnly) continue;
            job->Parameters[i] = TensorMemory.View(job->Handles[i]);
            RequireShape(ref job->Gradients[i], job->Parameters[i]);
        }
    }

    private void LookAtTensors(IReadOnlyList<Parameter> parameters)
    {
        for (int i = 0; i < parameters.Count; i++)
        {
            var gradient = parameters[i].grad;
            if (gradient is not null) _tensors.Add(gradient);
            (_parameters.Items[i], _gradients.Items[i]) = (TensorView.Of(parameters[i]), TensorView.Of(gradient));
        }
    }
}
