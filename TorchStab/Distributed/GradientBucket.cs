using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>Small gradients side by side in one message, copied there and back.</summary>
internal class GradientBucket : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly Part[] _parts;

    /// <summary>A bucket for some of the parameters; it takes the first elements of a buffer that others may use after it.</summary>
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

    /// <summary>A parameter's place: the n-th in this bucket.</summary>
    protected readonly record struct Part(int Number, int Index, long Start, long Count);

    /// <summary>Puts the sums in place; notes the parameters whose gradient on this rank is not finite.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="gradients">Of all parameters of the model that have one.</param>
    /// <param name="places">Where each parameter's gradient is among them; -1 where nobody has one, and zeros are sent.</param>
    /// <param name="bad">Those parameters.</param>
    public void Sum(ProcessGroup group, GradientHandles gradients, int[] places, HashSet<Parameter> bad)
    {
        var flat = TensorView.Of(Flat);
        foreach (var part in _parts)
            if (!(places[part.Index] is >= 0 and int k ? Gather(flat, part, gradients, k) : Zero(part))) bad.Add(_parameters[part.Index]);
        group.Sum(Flat);
        foreach (var part in _parts)
            if (places[part.Index] is >= 0 and int k) Return(flat, part, gradients, k);
    }

    public virtual void Dispose() => Flat.Dispose();

    /// <summary>Copies the k-th gradient to its place; whether it is finite.</summary>
    protected virtual bool Gather(in TensorView flat, Part part, GradientHandles gradients, int k)
    {
        if (BucketLaunch.TryGather(gradients.Gradients[k], flat, part.Start, part.Count) is { } finite) return finite;
        using var view = View(part);
        view.copy_(gradients.Tensor(k));
        return GradientPieces.IsFinite(view);
    }

    /// <summary>The way back.</summary>
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
        using var run = Flat.narrow(0, part.Start, part.Count);
        return run.view(ParameterOf(part).shape);
    }

    private bool Zero(Part part)
    {
        using var view = View(part);
        view.zero_();
        return true;
    }
}
