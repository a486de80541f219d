using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>The weights before a step, to measure how far it moved them. Lives no longer than the step.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly List<Tensor> _before;
    private readonly List<TrainableLayer> _layers;

    public WeightSnapshot(List<TrainableLayer> layers)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        _layers = layers;
        _before = [.. layers.SelectMany(l => l.Parameters).Select(p => p.Parameter.detach().clone().DetachFromDisposeScope())];
    }

    /// <summary>‖w − w before‖ of each layer; takes the difference in place of the snapshot, so only once.</summary>
    public double[] Change()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        int next = 0;
        foreach (var (_, parameter) in _layers.SelectMany(l => l.Parameters)) _before[next++].sub_(parameter);
        double[] norms = GradientNorms.Of(_before, 2);
        next = 0;
        return [.. _layers.Select(l => GradientNorms.Total(norms.AsSpan((next += l.Parameters.Count) - l.Parameters.Count, l.Parameters.Count), 2))];
    }

    public void Dispose() => _before.ForEach(t => t.Dispose());
}
