using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>Sums gradients of one dtype in place, through memory that the ranks of one host share.</summary>
internal sealed class SharedGradientSum(SharedSum shared, IReadOnlyList<Parameter> parameters, List<int> indices)
{
    private readonly List<int> _summed = [];
    private readonly List<(Tensor Gradient, Tensor Copy)> _copies = [];

    /// <summary>Replaces the gradients by their sums over the ranks, and records whose gradient is not finite on this rank.</summary>
    /// <param name="gradients">The gradients of all parameters that have one.</param>
    /// <param name="positions">The position of each parameter's gradient among them; −1 if no rank has one.</param>
    /// <param name="nonFinite">Receives the parameters whose gradient on this rank is not finite.</param>
    public void Sum(GradientHandles gradients, int[] positions, HashSet<Parameter> nonFinite)
    {
        Clear();
        foreach (int i in indices)
            if (positions[i] is >= 0 and int k) Append(i, gradients, k);
        shared.Sum();
        for (int n = 0; n < _summed.Count; n++)
            if (!shared.WasFinite(n)) nonFinite.Add(parameters[_summed[n]]);
        foreach (var (gradient, copy) in _copies) gradient.copy_(copy);
        Clear();
    }

    // A gradient with gaps or permuted dimensions is summed as a contiguous copy: on other ranks its layout may differ.
    private void Append(int i, GradientHandles gradients, int k)
    {
        _summed.Add(i);
        var view = gradients.Gradients[k];
        if (view.Dense && view.Count == parameters[i].numel())
        {
            shared.Append(view);
            return;
        }
        var gradient = gradients.Tensor(k);
        var copy = empty(parameters[i].shape, gradient.dtype, gradient.device).copy_(gradient);
        _copies.Add((gradient, copy));
        shared.Append(TensorView.Of(copy));
    }

    private void Clear()
    {
        shared.Clear();
        _summed.Clear();
        _copies.Clear();
    }
}
