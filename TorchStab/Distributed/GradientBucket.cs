using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>A message of several small gradients, which are copied into it and, after the sum, back.</summary>
internal class GradientBucket : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly Part[] _parts;

    /// <summary>A bucket for some of the parameters. It uses the first elements of a buffer, which other buckets may share.</summary>
    public GradientBucket(IReadOnlyList<Parameter> parameters, List<int> indices, Tensor buffer)
    {
        (_parameters, _parts) = (parameters, new Part[indices.Count]);
        long end = 0;
        for (int n = 0; n < _parts.Length; end += _parts[n++].Count) _parts[n] = new(n, indices[n], end, parameters[indices[n]].numel());
        Flat = buffer.narrow(0, 0, end).DetachFromDisposeScope();
    }

    /// <summary>The message.</summary>
    protected Tensor Flat { get; }

    protected int Count => _parts.Length;

    /// <summary>The n-th gradient of this bucket: its parameter's index, and its elements in the message.</summary>
    protected readonly record struct Part(int Number, int Index, long Start, long Count);

    /// <summary>Replaces the gradients by their sums over the ranks, and records whose gradient is not finite on this rank.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="gradients">The gradients of all parameters that have one.</param>
    /// <param name="positions">The position of each parameter's gradient among them; −1 if no rank has one, and zeros are sent.</param>
    /// <param name="nonFinite">Receives the parameters whose gradient on this rank is not finite.</param>
    public void Sum(ProcessGroup group, GradientHandles gradients, int[] positions, HashSet<Parameter> nonFinite)
    {
        var flat = TensorView.Of(Flat);
        foreach (var part in _parts)
            if (!(positions[part.Index] is >= 0 and int k ? Gather(flat, part, gradients, k) : Zero(part))) nonFinite.Add(_parameters[part.Index]);
        group.Sum(Flat);
        foreach (var part in _parts)
            if (positions[part.Index] is >= 0 and int k) Return(flat, part, gradients, k);
    }

    public virtual void Dispose() => Flat.Dispose();

    /// <summary>Copies the k-th gradient into the message, and returns whether it is finite.</summary>
    protected virtual bool Gather(in TensorView flat, Part part, GradientHandles gradients, int k)
    {
        if (BucketLaunch.TryGather(gradients.Gradients[k], flat, part.Start, part.Count) is { } finite) return finite;
        using var view = View(part);
        view.copy_(gradients.Tensor(k));
        return GradientPieces.IsFinite(view);
    }

    /// <summary>Copies a sum from the message back to the k-th gradient.</summary>
    protected virtual void Return(in TensorView flat, Part part, GradientHandles gradients, int k)
    {
        if (BucketLaunch.TryScatter(flat, gradients.Gradients[k], part.Start, part.Count)) return;
        using var view = View(part);
        gradients.Tensor(k).copy_(view);
    }

    protected Parameter ParameterOf(Part part) => _parameters[part.Index];

    /// <summary>The part of the message in the parameter's shape.</summary>
    protected Tensor View(Part part)
    {
        using var elements = Flat.narrow(0, part.Start, part.Count);
        return elements.view(ParameterOf(part).shape);
    }

    private bool Zero(Part part)
    {
        using var view = View(part);
        view.zero_();
        return true;
    }
}
