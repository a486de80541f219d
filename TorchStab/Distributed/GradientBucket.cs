using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>Small gradients side by side in one message.</summary>
internal sealed class GradientBucket : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly List<Part> _parts = [];
    private readonly Tensor _flat;

    private readonly record struct Part(int Index, long Start, long Count);

    /// <summary>A bucket for some of the parameters; it takes the first elements of a buffer that others use after it.</summary>
    public GradientBucket(IReadOnlyList<Parameter> parameters, List<int> indices, Tensor buffer)
    {
        _parameters = parameters;
        long end = 0;
        foreach (int i in indices)
        {
            _parts.Add(new(i, end, parameters[i].numel()));
            end += _parts[^1].Count;
        }
        _flat = buffer.narrow(0, 0, end).DetachFromDisposeScope();
    }

    /// <summary>Puts the sums in place; notes the parameters whose gradient on this rank is not finite.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="gradients">Of all parameters of the model that have one.</param>
    /// <param name="places">Where each parameter's gradient is among them; -1 where nobody has one, and zeros are sent.</param>
    /// <param name="bad">Those parameters.</param>
    public void Sum(ProcessGroup group, GradientHandles gradients, int[] places, HashSet<Parameter> bad)
    {
        var flat = TensorView.Of(_flat);
        foreach (var part in _parts)
            if (!Gather(flat, part, gradients, places[part.Index])) bad.Add(_parameters[part.Index]);
        group.Sum(_flat);
        foreach (var part in _parts)
            if (places[part.Index] is >= 0 and int k && !BucketLaunch.TryScatter(flat, gradients.Gradients[k], part.Start, part.Count))
                gradients.Tensor(k, _parameters[part.Index]).copy_(View(part));
    }

    public void Dispose() => _flat.Dispose();

    private bool Gather(in TensorView flat, Part part, GradientHandles gradients, int k)
    {
        if (k < 0)
        {
            View(part).zero_();
            return true;
        }
        if (BucketLaunch.TryGather(gradients.Gradients[k], flat, part.Start, part.Count) is { } finite) return finite;
        var view = View(part);
        view.copy_(gradients.Tensor(k, _parameters[part.Index]));
        return GradientPieces.IsFinite(view);
    }

    private Tensor View(Part part) => _flat.narrow(0, part.Start, part.Count).view(_parameters[part.Index].shape);
}
