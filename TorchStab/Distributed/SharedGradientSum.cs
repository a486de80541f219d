using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>Gradients of one dtype that ranks of one host sum where they lie, through memory that they share.</summary>
internal sealed class GradientRuns(SharedSum shared, IReadOnlyList<Parameter> parameters, List<int> indices)
{
    private readonly List<int> _summed = [];
    private readonly List<(Tensor Gradient, Tensor Copy)> _copies = [];

    /// <summary>Puts the sums in place; notes the parameters whose gradient on this rank is not finite.</summary>
    /// <param name="gradients">Of all parameters of the model that have one.</param>
    /// <param name="places">Where each parameter's gradient is among them; -1 where nobody has one.</param>
    /// <param name="bad">Those parameters.</param>
    public void Sum(GradientHandles gradients, int[] places, HashSet<Parameter> bad)
    {
        Clear();
        foreach (int i in indices)
            if (places[i] is >= 0 and int k) Append(i, gradients, k);
        shared.Sum();
        for (int n = 0; n < _summed.Count; n++)
            if (!shared.WasFinite(n)) bad.Add(parameters[_summed[n]]);
        foreach (var (gradient, copy) in _copies) gradient.copy_(copy);
        Clear();
    }

    // What lies with gaps or permuted goes as a copy: on other ranks it may not.
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
